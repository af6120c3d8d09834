// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package manifest reads Kubernetes objects from YAML and JSON files, as people
// and tools such as helm template and kustomize write them.
//
// Every object knows where it stands, and a document that cannot be read is an
// error that names file, document and reason beside the objects that can.
package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Object is an object and where it was read.
type Object struct {
	*unstructured.Unstructured
	File     string // "-" is standard input
	Document int    // in the file, from 1
}

var extensions = []string{".yaml", ".yml", ".json"}

// Read reads every object in paths, in order: files, folders with all YAML and
// JSON files in and below them, and "-" for stdin. Lists are taken apart. The
// error joins all that could not be read; the objects are those that could.
func Read(paths []string, stdin io.Reader) ([]Object, error) {
	var objects []Object
	var errs []error
	for _, path := range paths {
		files, err := filesOf(path)
		errs = append(errs, err)
		for _, file := range files {
			found, err := readFile(file, stdin)
			objects = append(objects, found...)
			errs = append(errs, err)
		}
	}
	return objects, errors.Join(errs...)
}

func filesOf(path string) ([]string, error) {
	if path == "-" {
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, nil // reading it says what is wrong
	}
	var files []string
	err = filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && slices.Contains(extensions, filepath.Ext(file)) {
			files = append(files, file)
		}
		return err
	})
	return files, err
}

func readFile(file string, stdin io.Reader) ([]Object, error) {
	if file == "-" {
		return Decode(stdin, file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Decode(f, file)
}

// Decode reads the documents of r, which is called file in errors.
func Decode(r io.Reader, file string) ([]Object, error) {
	var objects []Object
	var errs []error
	documents := utilyaml.NewYAMLReader(bufio.NewReader(r))
	for n := 1; ; n++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, errors.Join(errs...)
		}
		if err != nil {
			return objects, errors.Join(append(errs, fmt.Errorf("%s: document %d: %w", file, n, err))...)
		}
		found, err := decode(document)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: document %d: %w", file, n, err))
		}
		for _, u := range found {
			objects = append(objects, Object{Unstructured: u, File: file, Document: n})
		}
	}
}

func decode(document []byte) ([]*unstructured.Unstructured, error) {
	if isEmpty(document) {
		return nil, nil
	}
	json, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(json); err != nil {
		return nil, fmt.Errorf("not a Kubernetes object: %w", err)
	}
	if !u.IsList() {
		return []*unstructured.Unstructured{u}, nil
	}
	var items []*unstructured.Unstructured
	err = u.EachListItem(func(item runtime.Object) error {
		items = append(items, item.(*unstructured.Unstructured))
		return nil
	})
	return items, err
}

// isEmpty says whether a document holds nothing but comments, as the first of
// a file often does.
func isEmpty(document []byte) bool {
	for line := range bytes.Lines(document) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}
