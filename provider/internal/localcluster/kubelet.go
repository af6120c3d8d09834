// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/wholefile"
)

var (
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	pods        = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	secrets     = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	configMaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
)

// container is the first container of a Pod, as a process can have it.
type container struct {
	args, env []string
}

// container reads what a kubelet would give the first container of a Pod: its
// arguments and variables, Secrets and ConfigMaps as files below dir, and a
// token of its ServiceAccount in a kubeconfig. Paths of mounts are replaced by
// those of the files.
func (c *Cluster) container(ctx context.Context, namespace string, spec corev1.PodSpec, dir string) (container, error) {
	if len(spec.Containers) == 0 {
		return container{}, errors.New("it has no container")
	}
	first := spec.Containers[0]
	var replacements []string
	for _, mount := range first.VolumeMounts {
		folder := filepath.Join(dir, mount.Name)
		if err := c.mount(ctx, namespace, spec.Volumes, mount.Name, folder); err != nil {
			return container{}, err
		}
		replacements = append(replacements, mount.MountPath, folder)
	}
	local := strings.NewReplacer(replacements...)

	var out container
	for _, arg := range append(append([]string{}, first.Command...), first.Args...) {
		out.args = append(out.args, local.Replace(arg))
	}
	for _, variable := range first.Env {
		if variable.ValueFrom != nil {
			return container{}, fmt.Errorf("no value for variable %s: nothing here reads where it comes from", variable.Name)
		}
		out.env = append(out.env, variable.Name+"="+local.Replace(variable.Value))
	}
	if mounts := spec.AutomountServiceAccountToken; mounts == nil || *mounts {
		kubeconfig, err := c.KubeconfigOf(ctx, namespace, spec.ServiceAccountName)
		if err != nil {
			return container{}, err
		}
		// In a Pod the program finds all this in a folder that only a kubelet makes.
		out.args = append(out.args, "--kubeconfig="+kubeconfig)
	}
	return out, nil
}

// mount writes a volume as a folder.
func (c *Cluster) mount(ctx context.Context, namespace string, volumes []corev1.Volume, name, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, volume := range volumes {
		if volume.Name != name {
			continue
		}
		switch {
		case volume.Secret != nil:
			return c.mountKeys(ctx, secrets, namespace, volume.Secret.SecretName, volume.Secret.Items, volume.Secret.Optional, folder)
		case volume.ConfigMap != nil:
			return c.mountKeys(ctx, configMaps, namespace, volume.ConfigMap.Name, volume.ConfigMap.Items, volume.ConfigMap.Optional, folder)
		case volume.EmptyDir != nil:
			return nil
		}
	}
	return fmt.Errorf("volume %s is none of Secret, ConfigMap and emptyDir", name)
}

func (c *Cluster) mountKeys(ctx context.Context, kind schema.GroupVersionResource, namespace, name string, items []corev1.KeyToPath, optional *bool, folder string) error {
	object, err := c.Dynamic.Resource(kind).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		if optional != nil && *optional {
			return nil
		}
		return err
	}
	data, err := dataOf(object.Object)
	if err != nil {
		return err
	}
	if len(items) == 0 {
		for key := range data {
			items = append(items, corev1.KeyToPath{Key: key, Path: key})
		}
	}
	for _, item := range items {
		content, ok := data[item.Key]
		if !ok {
			return fmt.Errorf("%s %s/%s has no key %s", kind.Resource, namespace, name, item.Key)
		}
		file := filepath.Join(folder, item.Path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), wholefile.Write(file, content, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

// dataOf is the data of a Secret or ConfigMap.
func dataOf(object map[string]any) (map[string][]byte, error) {
	if object["kind"] == "Secret" {
		var secret corev1.Secret
		err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, &secret)
		return secret.Data, err
	}
	var configMap corev1.ConfigMap
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, &configMap)
	data := configMap.BinaryData
	if data == nil {
		data = map[string][]byte{}
	}
	for key, value := range configMap.Data {
		data[key] = []byte(value)
	}
	return data, err
}

// RunJobs stands in for a kubelet until ctx ends: it runs the first container of
// each Pod that a Job makes in the namespace, as a process, and tells the API
// server how it ended. The program is the one in [Config.Programs] that is named
// as the image, without its tag. What it prints is in logs/POD.log.
func (c *Cluster) RunJobs(ctx context.Context, namespace string) error {
	seen := map[types.UID]bool{}
	for {
		list, err := c.Dynamic.Resource(pods).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name"})
		if err != nil && ctx.Err() == nil {
			return err
		}
		if list != nil {
			for _, object := range list.Items {
				if seen[object.GetUID()] {
					continue
				}
				seen[object.GetUID()] = true
				var pod corev1.Pod
				if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &pod); err != nil {
					return err
				}
				if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded || pod.DeletionTimestamp != nil {
					continue // it has ended, of a Job of before
				}
				if err := c.runPod(ctx, pod); err != nil && ctx.Err() == nil {
					return fmt.Errorf("run the Pod %s/%s: %w", namespace, pod.Name, err)
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(4 * pollInterval):
		}
	}
}

func (c *Cluster) runPod(ctx context.Context, pod corev1.Pod) error {
	made, err := c.container(ctx, pod.Namespace, pod.Spec, c.path("pods", pod.Name))
	if err != nil {
		return err
	}
	image := pod.Spec.Containers[0].Image
	name, _, _ := strings.Cut(path.Base(image), "@")
	name, _, _ = strings.Cut(name, ":")
	if err := c.setPhase(ctx, pod, corev1.PodRunning, 0); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.cfg.Programs, name), made.args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.cfg.Dir}, made.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.CombinedOutput()
	if logErr := os.WriteFile(c.path("logs", pod.Name+".log"), out, 0o644); logErr != nil && !errors.Is(logErr, fs.ErrNotExist) {
		return logErr
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return c.setPhase(ctx, pod, corev1.PodFailed, max(exit.ExitCode(), 1))
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, bytes.TrimSpace(out))
	}
	return c.setPhase(ctx, pod, corev1.PodSucceeded, 0)
}

// setPhase writes what a kubelet says of a Pod with one container.
func (c *Cluster) setPhase(ctx context.Context, pod corev1.Pod, phase corev1.PodPhase, code int) error {
	first := pod.Spec.Containers[0]
	status := corev1.ContainerStatus{Name: first.Name, Image: first.Image}
	if phase == corev1.PodRunning {
		status.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.Now()}
	} else {
		status.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: int32(code), FinishedAt: metav1.Now()} //nolint:gosec // an exit code has eight bits
	}
	patch, err := json.Marshal(map[string]any{"status": corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{status}}})
	if err != nil {
		return err
	}
	_, err = c.Dynamic.Resource(pods).Namespace(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}
