// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/open-policy-agent/gatekeeper/v3/pkg/gator/reader"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/engine"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/manifest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/report"
)

// testOptions are the flags of test.
type testOptions struct {
	files     []string
	output    string
	namespace string
	expect    bool

	provider       engine.Provider
	caFile         string
	clientCertFile string
	clientKeyFile  string
}

func testCommand() *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test -f FILE... --provider-url URL",
		Short: "Say whether objects would be admitted",
		Long: `Evaluate objects against ConstraintTemplates and constraints as Gatekeeper's
webhook would, and have a running provider answer for the images.

With --expect-annotations an object says in the annotation
` + report.ExpectAnnotation + ` what is expected of it: admitted, or the codes of its refused
images, separated by commas. Do not use it where the objects are what is to be
checked: whoever writes them would decide.

The status is 0 if every object is admitted or as expected, 1 if one is not, and
2 if it could not be found out, because of a file, a flag, or because neither
provider nor Endor Labs could say.`,
		Example: `  kubectl endor test -f policies/library/k8sendorsignedimages/template.yaml -f constraint.yaml -f deployment.yaml \
    --provider-url https://127.0.0.1:8443/validate --provider-ca-file ca.crt \
    --client-cert-file client.crt --client-key-file client.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	fs := cmd.Flags()
	fs.StringArrayVarP(&o.files, "filename", "f", nil, "`file` or folder with templates, constraints and objects, or - for standard input; may be repeated")
	fs.StringVarP(&o.output, "output", "o", "table", "`format`: table, json")
	fs.StringVarP(&o.namespace, "namespace", "n", corev1.NamespaceDefault, "`namespace` of objects that name none")
	fs.BoolVar(&o.expect, "expect-annotations", false, "let objects say what is expected of them")
	fs.StringVar(&o.provider.URL, "provider-url", "", "`URL` of the provider, as in the Provider object")
	fs.StringVar(&o.provider.Name, "provider-name", "endor-gatekeeper-provider", "`name` of the provider in constraints")
	fs.IntVar(&o.provider.Timeout, "provider-timeout", 2, "`seconds` that the provider is given, as in the Provider object")
	fs.StringVar(&o.caFile, "provider-ca-file", "", "`file` with the CA of the provider's certificate (PEM)")
	fs.StringVar(&o.clientCertFile, "client-cert-file", "", "`file` with the client certificate that the provider asks for (PEM)")
	fs.StringVar(&o.clientKeyFile, "client-key-file", "", "`file` with its private key (PEM)")
	cmd.MarkFlagsRequiredTogether("client-cert-file", "client-key-file")
	for _, name := range []string{"filename", "provider-url", "provider-ca-file"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // a name that is not a flag's
		}
	}
	return cmd
}

func (o testOptions) run(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	if o.output != "table" && o.output != "json" {
		return fmt.Errorf("--output is %q; it is table or json", o.output)
	}
	if o.provider.Timeout < 1 {
		return errors.New("--provider-timeout: it must be at least 1; with 0 Gatekeeper would not wait at all")
	}
	objects, err := manifest.Read(o.files, stdin)
	if err != nil {
		return err
	}
	input, err := sortOut(objects)
	if err != nil {
		return err
	}
	e, err := o.newEngine(ctx, input)
	if err != nil {
		return err
	}
	outcomes, err := o.judge(ctx, e, input)
	if err != nil {
		return err
	}
	if err := o.write(stdout, outcomes); err != nil {
		return err
	}
	return verdict(outcomes)
}

// verdict is what the program's status says of all outcomes.
func verdict(outcomes []report.Outcome) error {
	unwelcome := slices.DeleteFunc(slices.Clone(outcomes), func(o report.Outcome) bool {
		return o.Expected != "" && o.AsExpected() || o.Expected == "" && !o.Denied()
	})
	switch {
	case len(unwelcome) == 0:
		return nil
	case slices.ContainsFunc(unwelcome, report.Outcome.Unknown):
		return errors.New("it could not be found out of every image whether it is signed; see the reasons above")
	default:
		return errRefused
	}
}

func (o testOptions) write(w io.Writer, outcomes []report.Outcome) error {
	if o.output == "table" {
		return report.WriteTable(w, outcomes)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(outcomes)
}

// newEngine makes an engine with the provider, the templates and the
// constraints.
func (o testOptions) newEngine(ctx context.Context, in *input) (*engine.Engine, error) {
	ca, err := os.ReadFile(o.caFile)
	if err != nil {
		return nil, fmt.Errorf("--provider-ca-file: %w", err)
	}
	o.provider.CABundle = ca
	e, err := engine.New(ctx, engine.Config{
		Providers: []engine.Provider{o.provider}, ClientCertFile: o.clientCertFile, ClientKeyFile: o.clientKeyFile,
	})
	if err != nil {
		return nil, err
	}
	for _, t := range in.templates {
		if err := e.AddTemplate(ctx, t.Unstructured); err != nil {
			return nil, fmt.Errorf("%s: %w", t.File, err)
		}
	}
	for _, c := range in.constraints {
		if err := e.AddConstraint(ctx, c.Unstructured); err != nil {
			return nil, fmt.Errorf("%s: %w", c.File, err)
		}
	}
	return e, nil
}

// input is what was read, by what it is for.
type input struct {
	templates, constraints, objects []manifest.Object
	namespaces                      map[string]*corev1.Namespace
}

// ofTools are groups of files that lie beside manifests: gator's suites,
// kustomizations, Gatekeeper's own configuration.
var ofTools = []string{"test.gatekeeper.sh", "kustomize.config.k8s.io", "externaldata.gatekeeper.sh", "expansion.gatekeeper.sh"}

func sortOut(all []manifest.Object) (*input, error) {
	in := &input{namespaces: map[string]*corev1.Namespace{}}
	for _, o := range all {
		switch {
		case reader.IsTemplate(o.Unstructured):
			in.templates = append(in.templates, o)
		case reader.IsConstraint(o.Unstructured):
			in.constraints = append(in.constraints, o)
		case o.GroupVersionKind() == corev1.SchemeGroupVersion.WithKind("Namespace"):
			ns := &corev1.Namespace{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, ns); err != nil {
				return nil, fmt.Errorf("%s: document %d: %w", o.File, o.Document, err)
			}
			in.namespaces[ns.Name] = ns
		case slices.Contains(ofTools, o.GroupVersionKind().Group):
			// No API server, or no webhook, ever sees these.
		default:
			in.objects = append(in.objects, o)
		}
	}
	switch {
	case len(in.templates) == 0:
		return nil, errors.New("no ConstraintTemplate in what -f names")
	case len(in.constraints) == 0:
		return nil, errors.New("no constraint in what -f names")
	case len(in.objects) == 0:
		return nil, errors.New("no object to judge in what -f names")
	}
	return in, nil
}

func (o testOptions) judge(ctx context.Context, e *engine.Engine, in *input) ([]report.Outcome, error) {
	outcomes := make([]report.Outcome, 0, len(in.objects))
	for _, object := range in.objects {
		// As an API server does with what runs images.
		if object.GetNamespace() == "" && report.RunsImages(object.Unstructured) {
			object.SetNamespace(o.namespace)
		}
		outcome, err := report.Judge(ctx, e, object.Unstructured, in.namespaces[object.GetNamespace()])
		if err != nil {
			return nil, fmt.Errorf("%s: document %d: %w", object.File, object.Document, err)
		}
		if o.expect {
			outcome.Expect(object.Unstructured)
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes, nil
}
