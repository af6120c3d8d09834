// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// measures is the output of benchmarks.
type measures struct {
	config map[string]string             // :: goos, cpu and so on
	values map[string]map[string]float64 // :: benchmark → unit → value
}

func read(file string) (*measures, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w: make performance", err)
	}
	defer f.Close()
	m := &measures{config: map[string]string{}, values: map[string]map[string]float64{}}
	reader := benchfmt.NewReader(f, file)
	for reader.Scan() {
		result, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue // what is not a benchmark's line
		}
		for _, c := range result.Config {
			m.config[c.Key] = string(c.Value)
		}
		name := plainName(result.Name)
		if m.values[name] == nil {
			m.values[name] = map[string]float64{}
		}
		for _, v := range result.Values {
			m.values[name][v.Unit] = v.Value
		}
	}
	return m, reader.Err()
}

// plainName leaves out how many processors there were.
func plainName(name benchfmt.Name) string {
	base, parts := name.Parts()
	plain := string(base)
	for _, part := range parts {
		if !strings.HasPrefix(string(part), "-") {
			plain += string(part)
		}
	}
	return plain
}

func (m *measures) get(benchmark, unit string) (float64, bool) {
	v, ok := m.values[benchmark][unit]
	return v, ok
}
