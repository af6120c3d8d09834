// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/findings"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/manifest"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/podspec"
)

// found is every distinct image, in order of first appearance, and where it
// stands in manifests.
type found struct {
	images  []string
	places  map[string][]findings.Place // :: image → places; empty for an argument
	skipped map[string]int              // :: kind → objects that run no images
}

// collect gathers images from arguments and manifests. The error joins what
// could not be read.
func collect(ctx context.Context, images, files []string, stdin io.Reader) (*found, error) {
	f := &found{places: map[string][]findings.Place{}, skipped: map[string]int{}}
	for _, image := range images {
		f.add(image)
	}
	objects, err := manifest.Read(files, interruptible{ctx: ctx, next: stdin})
	for _, o := range objects {
		if !podspec.RunsImages(o.Unstructured) {
			f.skipped[kindOf(o.Unstructured)]++
			continue
		}
		for _, use := range podspec.Images(o.Unstructured) {
			f.add(use.Reference, placeOf(o, use))
		}
	}
	return f, err
}

func (f *found) add(image string, places ...findings.Place) {
	if _, known := f.places[image]; !known {
		f.images = append(f.images, image)
	}
	f.places[image] = append(f.places[image], places...)
}

// skippedText says what was not looked at; nothing, if that is nothing.
func (f *found) skippedText(before string) string {
	if len(f.skipped) == 0 {
		return ""
	}
	return before + kinds(f.skipped)
}

// kindOf gives a kind with its group, without which it says too little.
func kindOf(u *unstructured.Unstructured) string { return u.GroupVersionKind().GroupKind().String() }

func placeOf(o manifest.Object, use podspec.Image) findings.Place {
	return findings.Place{
		File: o.File, Line: o.Line, Document: o.Document,
		Namespace: o.GetNamespace(), Kind: o.GetKind(), Name: o.GetName(), List: use.List, Container: use.Name,
	}
}

// interruptible reads until ctx ends: a terminal or a pipe may never give
// another byte.
type interruptible struct {
	ctx  context.Context
	next io.Reader
}

func (r interruptible) Read(b []byte) (int, error) {
	type result struct {
		read []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		mine := make([]byte, len(b)) // b is not ours any more once ctx ended
		n, err := r.next.Read(mine)
		done <- result{mine[:n], err}
	}()
	select {
	case got := <-done:
		return copy(b, got.read), got.err
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	}
}
