// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package inventorytest

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/kubetest"
)

func (s *Server) discover(w http.ResponseWriter, path string) {
	switch path {
	case "/api":
		kubetest.Answer(w, http.StatusOK, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case "/apis":
		list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
		seen := map[string]bool{"": true}
		for _, key := range slices.Sorted(maps.Keys(s.resources)) {
			r := s.resources[key]
			if seen[r.Group] {
				continue
			}
			seen[r.Group] = true
			version := metav1.GroupVersionForDiscovery{GroupVersion: r.Group + "/" + r.Version, Version: r.Version}
			list.Groups = append(list.Groups, metav1.APIGroup{Name: r.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version})
		}
		kubetest.Answer(w, http.StatusOK, list)
	default:
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound)
	}
}

func (s *Server) discoverVersion(w http.ResponseWriter, groupVersion string) {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: groupVersion}
	for _, key := range slices.Sorted(maps.Keys(s.resources)) {
		if strings.HasPrefix(key, groupVersion+"/") && strings.Count(key, "/") == strings.Count(groupVersion, "/")+1 {
			list.APIResources = append(list.APIResources, s.resources[key].APIResource)
		}
	}
	if len(list.APIResources) == 0 {
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	kubetest.Answer(w, http.StatusOK, list)
}
