// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package tracing_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Where it is not, a pipe hangs this test, and a device ends it for want of memory.
func TestCertificatesAndKeysAreReadOfFilesAloneAndOfNoHugeOnes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo, huge, small := filepath.Join(dir, "fifo"), filepath.Join(dir, "huge"), filepath.Join(dir, "small")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, size := range map[string]int64{huge: 1<<20 + 1, small: 1} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, size); err != nil {
			t.Fatal(err)
		}
	}
	for _, variable := range []string{"CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"} {
		for _, signal := range []string{"", "TRACES_"} {
			for file, want := range map[string]string{
				fifo: "not a regular file", "/dev/zero": "not a regular file", dir: "not a regular file", huge: "larger than 1 MiB",
			} {
				env := map[string]string{
					"OTEL_EXPORTER_OTLP_ENDPOINT":           "https://127.0.0.1:1",
					"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": small, // looked at before the key
				}
				env["OTEL_EXPORTER_OTLP_"+signal+variable] = file
				_, err := newTracing(t, env, asItIs)
				if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_"+variable+": "+file) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s%s=%s: %v", signal, variable, file, err)
					continue
				}
				t.Logf("Got expected error: %v", err)
			}
		}
	}
}
