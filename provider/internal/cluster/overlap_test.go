// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"
)

// Kubelets replace mounted files at times of their own, up to minutes apart.
func TestReplicasWhoseFilesChangeAtDifferentTimesDoNotWriteAgainstEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := installed()
		old, renewed := authority(t).Certificate(), authority(t).Certificate()
		first, second := mount(t, a, old), mount(t, a, old)
		defer background(first.Run, second.Run)()
		time.Sleep(settled)
		before := a.written()

		first.replace(renewed)
		first.Look()
		time.Sleep(settled)
		if n := len(bundle(t, a)); n != 2 {
			t.Errorf("%d authorities while one replica has the old one and one the new, want both", n)
		}
		if n := a.written() - before; n != 1 {
			t.Fatalf("%d writes, want one by the replica whose file changed", n)
		}
		second.replace(renewed)
		second.Look()
		time.Sleep(2 * overlap)
		if got := bundle(t, a); len(got) != 1 || !got[0].Equal(renewed) {
			t.Errorf("%d authorities after the overlap, want the new one", len(got))
		}
		if n := a.written() - before; n != 2 {
			t.Errorf("%d writes in the end, want another one that drops the old authority", n)
		}
	})
}

// An upgrade that changes the Provider has replicas of both kinds for its time.
func TestReplicasThatWantDifferentThingsDoNotHammerTheAPIServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := installed()
		ca := authority(t).Certificate()
		want := func(url string) *mounted {
			m := mount(t, a, ca)
			m.URL = url
			return m
		}
		before, after := want("https://"+host+"/before"), want("https://"+host+"/after")
		stopBefore := background(before.Run)
		defer background(after.Run)()
		time.Sleep(time.Minute)
		if a.written() > 60 {
			t.Errorf("%d writes in a minute", a.written())
		}
		stopBefore()
		time.Sleep(settled)
		if got := a.get(providerPath).Object["spec"].(map[string]any)["url"]; got != "https://"+host+"/after" {
			t.Errorf("url = %v", got)
		}
	})
}

// However short it is, replicas and Gatekeepers may be late by a part of it.
func TestAShortOverlapIsNotNoticedEither(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const overlap = 4 * time.Second
		a := installed()
		replicas := []*replica{start(t, a, overlap), start(t, a, overlap)}
		for _, r := range replicas {
			defer r.stop()
		}
		time.Sleep(settled)
		first := bundle(t, a)[0]
		edit(a, func(data map[string]any) { delete(data, "ca.key") })
		for began := time.Now(); time.Since(began) < time.Minute; {
			late := trustedBy(t, a)
			var served [2]tls.Certificate
			for n, r := range replicas {
				served[n] = r.serving.Pair()
			}
			time.Sleep(overlap / 4)
			for n, r := range replicas {
				for what, err := range map[string]error{
					"a Gatekeeper that is late":     accepts(r.serving.Pair(), late),
					"Gatekeeper, and it is late":    accepts(served[n], trustedBy(t, a)),
					"Gatekeeper, and neither is so": accepts(r.serving.Pair(), trustedBy(t, a)),
				} {
					if err != nil {
						t.Fatalf("after %v replica %d is refused by %s: %v", time.Since(began), n, what, err)
					}
				}
			}
		}
		if got := bundle(t, a); len(got) != 1 || got[0].Equal(first) {
			t.Errorf("%d authorities after a minute, want the new one alone", len(got))
		}
	})
}
