// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

// Package manifest reads Kubernetes objects from YAML and JSON files, as people
// and tools such as helm template and kustomize write them.
//
// Every object knows where it stands, and a document that cannot be read is an
// [Error] that names file, line and reason beside the objects that can. Nothing
// is left out silently: text behind a document, a key that stands twice and an
// item of a list that is no object are errors too.
package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Object is an object and where it was read.
type Object struct {
	*unstructured.Unstructured
	File     string // "-" is standard input
	Document int    // in the file, from 1
	Line     int    // of the file, on which the object begins, from 1
}

// Where the object stands, as errors begin.
func (o Object) Where() string { return where(o.File, o.Line, o.Document) }

func where(file string, line, document int) string {
	return fmt.Sprintf("%s:%d: document %d", file, line, document)
}

// Error is a document, or an object in it, that cannot be read.
type Error struct {
	File           string
	Line, Document int
	Err            error
}

func (e *Error) Error() string { return where(e.File, e.Line, e.Document) + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

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
	var errs []error
	errs = append(errs, filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			errs = append(errs, err) // the others can be read
		case d.IsDir() || !slices.Contains(extensions, filepath.Ext(file)):
		case isFile(file):
			files = append(files, file)
		default:
			errs = append(errs, fmt.Errorf("%s is no file that ends, but a device, a pipe or the like; name it itself if it is meant", file))
		}
		return nil
	}))
	return files, errors.Join(errs...)
}

// isFile says whether what a folder holds is a file. Whoever wrote the folder
// may have put a link to a device into it, of which no reading has an end.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err != nil || info.Mode().IsRegular() // reading it says what is wrong
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
