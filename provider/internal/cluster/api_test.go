// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// api is an API server in memory: it lists and watches by field selector,
// refuses updates of old versions, and creates or merges what is applied. It is
// the transport of its clients, so that all of it happens within a bubble of
// testing/synctest.
type api struct {
	mu       sync.Mutex
	version  int
	objects  map[string]*unstructured.Unstructured // :: path of the object
	watchers []*watcher
	down     bool
	silent   bool
	refuse   func(*http.Request) bool // with 403
	writes   int                      // that changed something
	requests int
}

type watcher struct {
	collection, name string
	events           chan metav1.WatchEvent
	done             <-chan struct{}
}

func newAPI() *api { return &api{objects: map[string]*unstructured.Unstructured{}} }

func (a *api) client(t *testing.T) dynamic.Interface {
	t.Helper()
	c, err := dynamic.NewForConfig(&rest.Config{Host: "http://api", Transport: a, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// put creates or replaces an object, as somebody else would.
func (a *api) put(path string, object map[string]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.store(path, &unstructured.Unstructured{Object: object})
}

func (a *api) remove(path string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tell("DELETED", path, a.objects[path])
	delete(a.objects, path)
}

// get gives a copy, or nil.
func (a *api) get(path string) *unstructured.Unstructured {
	a.mu.Lock()
	defer a.mu.Unlock()
	if o := a.objects[path]; o != nil {
		return o.DeepCopy()
	}
	return nil
}

// written is how often something changed, and asked how many requests there were.
func (a *api) written() int { return a.count(&a.writes) }

func (a *api) asked() int { return a.count(&a.requests) }

func (a *api) count(n *int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return *n
}

// outage ends all watches and refuses connections until it is over.
func (a *api) outage(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
	for _, w := range a.watchers {
		close(w.events)
	}
	a.watchers = nil
}

// silence has it take requests and answer none until it is over.
func (a *api) silence(silent bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.silent = silent
}

func (a *api) store(path string, object *unstructured.Unstructured) {
	kind := "ADDED"
	if before := a.objects[path]; before != nil {
		kind = "MODIFIED"
		object.SetUID(before.GetUID())
	} else {
		object.SetUID(types.UID(fmt.Sprintf("uid-%d", a.version+1)))
	}
	a.version++
	object.SetName(path[strings.LastIndex(path, "/")+1:])
	if _, in, ok := strings.Cut(path, "/namespaces/"); ok {
		namespace, _, _ := strings.Cut(in, "/")
		object.SetNamespace(namespace)
	}
	object.SetResourceVersion(strconv.Itoa(a.version))
	a.objects[path] = object
	a.writes++
	a.tell(kind, path, object)
}

func (a *api) tell(kind, path string, object *unstructured.Unstructured) {
	a.watchers = slices.DeleteFunc(a.watchers, func(w *watcher) bool {
		select {
		case <-w.done:
			return true
		default:
		}
		if w.collection+"/"+w.name == path {
			w.events <- event(kind, object)
		}
		return false
	})
}

func event(kind string, object *unstructured.Unstructured) metav1.WatchEvent {
	raw, err := object.MarshalJSON()
	if err != nil {
		panic(err)
	}
	e := metav1.WatchEvent{Type: kind}
	e.Object.Raw = raw
	return e
}

// RoundTrip serves a request.
func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests++
	if a.silent {
		a.mu.Unlock()
		<-r.Context().Done()
		a.mu.Lock()
		return nil, r.Context().Err()
	}
	if a.down {
		return nil, fmt.Errorf("connect to %s: connection refused", r.URL.Host)
	}
	if a.refuse != nil && a.refuse(r) {
		return status(http.StatusForbidden, metav1.StatusReasonForbidden), nil
	}
	path := r.URL.Path
	switch r.Method {
	case http.MethodGet:
		if selector, ok := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name="); ok {
			return a.collection(r, path, selector), nil
		}
		if o := a.objects[path]; o != nil {
			return answer(http.StatusOK, o), nil
		}
		if list := a.all(path); len(list.Items) > 0 {
			return answer(http.StatusOK, list), nil
		}
		return status(http.StatusNotFound, metav1.StatusReasonNotFound), nil
	case http.MethodPut:
		sent := read(r)
		if live := a.objects[path]; live == nil || live.GetResourceVersion() != sent.GetResourceVersion() {
			return status(http.StatusConflict, metav1.StatusReasonConflict), nil
		}
		a.store(path, sent)
		return answer(http.StatusOK, sent), nil
	case http.MethodPatch:
		a.apply(path, read(r))
		return answer(http.StatusOK, a.objects[path]), nil
	}
	return status(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed), nil
}

func (a *api) apply(path string, sent *unstructured.Unstructured) {
	live := a.objects[path]
	if live == nil {
		a.store(path, sent)
		return
	}
	merged := live.DeepCopy()
	spec, _ := merged.Object["spec"].(map[string]any)
	maps.Copy(spec, sent.Object["spec"].(map[string]any))
	merged.SetOwnerReferences(sent.GetOwnerReferences())
	a.store(path, merged)
}

// all lists what is in a collection. Of one that is empty it is not known
// whether it exists.
func (a *api) all(collection string) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}}
	for _, path := range slices.Sorted(maps.Keys(a.objects)) {
		if name, in := strings.CutPrefix(path, collection+"/"); in && !strings.Contains(name, "/") {
			list.Items = append(list.Items, *a.objects[path])
		}
	}
	return list
}

func (a *api) collection(r *http.Request, path, name string) *http.Response {
	object := a.objects[path+"/"+name]
	if r.URL.Query().Get("watch") != "true" {
		list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}}
		list.SetResourceVersion(strconv.Itoa(a.version))
		if object != nil {
			list.Items = append(list.Items, *object)
		}
		return answer(http.StatusOK, list)
	}
	w := &watcher{collection: path, name: name, events: make(chan metav1.WatchEvent, 1000), done: r.Context().Done()}
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		if object != nil {
			w.events <- event("ADDED", object)
		}
		end := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Bookmark"}}
		end.SetResourceVersion(strconv.Itoa(a.version))
		end.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		w.events <- event("BOOKMARK", end)
	}
	a.watchers = append(a.watchers, w)
	body, stream := io.Pipe()
	go func() {
		defer stream.Close()
		for {
			select {
			case <-w.done:
				return
			case e, ok := <-w.events:
				if !ok || json.NewEncoder(stream).Encode(e) != nil {
					return
				}
			}
		}
	}()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Request: r}
}

func read(r *http.Request) *unstructured.Unstructured {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	o := &unstructured.Unstructured{}
	if err := json.Unmarshal(raw, &o.Object); err != nil {
		panic(err)
	}
	return o
}

func answer(code int, object json.Marshaler) *http.Response {
	raw, err := object.MarshalJSON()
	if err != nil {
		panic(err)
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(raw)))}
}

func status(code int, reason metav1.StatusReason) *http.Response {
	return answer(code, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": int64(code), "reason": string(reason), "message": string(reason),
	}})
}
