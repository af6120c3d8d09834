// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// maxFile is the largest file that is read; it is held in memory several times.
const maxFile = 128 << 20

// Decode reads the documents of r, which is called file in errors. Those are
// [Error], unless r itself fails. Documents that hold only comments are not
// counted.
func Decode(r io.Reader, file string) ([]Object, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s: it is larger than %d MiB; split it", file, maxFile>>20)
	}
	d := decoder{file: file}
	for _, part := range split(content) {
		if !isEmpty(part.content) {
			d.document++
			d.decode(part)
		}
	}
	return d.objects, errors.Join(d.errs...)
}

// part of a file is a document.
type part struct {
	content []byte
	line    int // of the file, that the content begins with
}

// split cuts before each line that begins a document. That line goes with the
// document, which may begin on it.
func split(content []byte) []part {
	parts := []part{{line: 1}}
	n, start, end := 0, 0, 0
	for line := range bytes.Lines(content) {
		n++
		if begins(line) {
			start = end
			parts = append(parts, part{line: n})
		}
		end += len(line)
		parts[len(parts)-1].content = content[start:end]
	}
	return parts
}

// begins says whether a line is, in YAML, the beginning of a document wherever
// it stands.
func begins(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// isEmpty says whether a document holds nothing but comments and directives, as
// the first of a file often does.
func isEmpty(content []byte) bool {
	for line := range bytes.Lines(content) {
		if begins(line) {
			line = line[len("---"):]
		}
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != '%' && !bytes.Equal(line, []byte("...")) {
			return false
		}
	}
	return true
}

// decoder collects what one file holds.
type decoder struct {
	file     string
	document int
	objects  []Object
	errs     []error
}

func (d *decoder) refuse(line int, err error) {
	d.errs = append(d.errs, &Error{File: d.file, Line: line, Document: d.document, Err: err})
}

func (d *decoder) decode(p part) {
	root, err := parse(p.content)
	if err != nil {
		d.refuse(lineOf(err, p.line))
		return
	}
	// As kubectl reads it, except that nothing may stand in it twice.
	json, err := yaml.YAMLToJSONStrict(p.content)
	if err != nil {
		d.refuse(lineOf(err, p.line))
		return
	}
	var value any
	if err := utiljson.Unmarshal(json, &value); err != nil {
		d.refuse(p.line, err)
		return
	}
	d.take(value, root, p.line)
}

var errSecond = errors.New("there is more behind the end of the document; begin another with ---")

// parse reads a document for the sake of its lines.
func parse(content []byte) (*yamlv3.Node, error) {
	var document, second yamlv3.Node
	decoder := yamlv3.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.Join(errSecond, err)
	}
	return document.Content[0], nil
}

// take keeps an object, or all that are in a list. before is the line that the
// document begins with.
func (d *decoder) take(value any, node *yamlv3.Node, before int) {
	line := before
	if node != nil {
		line = before + node.Line - 1
	}
	object, ok := value.(map[string]any)
	if !ok {
		d.refuse(line, errors.New("it is no Kubernetes object, but a "+nameOf(value)))
		return
	}
	u := &unstructured.Unstructured{Object: object}
	for _, field := range []string{"apiVersion", "kind"} {
		if text, _ := object[field].(string); text == "" {
			d.refuse(line, fmt.Errorf("it is no Kubernetes object: it has no %s", field))
			return
		}
	}
	items, ok := object["items"].([]any)
	if !ok {
		d.objects = append(d.objects, Object{Unstructured: u, File: d.file, Document: d.document, Line: line})
		return
	}
	nodes := itemsOf(node)
	for i, item := range items {
		var itemNode *yamlv3.Node
		if i < len(nodes) {
			itemNode = nodes[i]
		}
		d.take(typed(item, u), itemNode, before)
	}
}

// typed gives an item of a list such as a PodList the type that an API server
// leaves out there.
func typed(item any, list *unstructured.Unstructured) any {
	object, ok := item.(map[string]any)
	kind, isTyped := strings.CutSuffix(list.GetKind(), "List")
	if ok && isTyped && kind != "" && object["kind"] == nil && object["apiVersion"] == nil {
		object["kind"], object["apiVersion"] = kind, list.GetAPIVersion()
	}
	return item
}

// itemsOf gives the nodes of a list's items, as far as they stand there.
func itemsOf(list *yamlv3.Node) []*yamlv3.Node {
	if list == nil || list.Kind != yamlv3.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(list.Content); i += 2 {
		if list.Content[i].Value == "items" {
			return list.Content[i+1].Content
		}
	}
	return nil
}

func nameOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case []any:
		return "list"
	default:
		return "text"
	}
}

var (
	parserLine = regexp.MustCompile(`line (\d+): `)
	parserName = regexp.MustCompile(`^(error converting YAML to JSON: )?yaml: (unmarshal errors:\s*)?`)
)

// lineOf finds in a parser's error the line, which it counts from the beginning
// of the document, and takes the parser's name out.
func lineOf(err error, before int) (int, error) {
	if errors.Is(err, errSecond) {
		return before, errSecond
	}
	text := parserName.ReplaceAllString(err.Error(), "")
	line := before
	if m := parserLine.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = before + n - 1
		}
		text = parserLine.ReplaceAllString(text, "")
	}
	return line, errors.New(text)
}
