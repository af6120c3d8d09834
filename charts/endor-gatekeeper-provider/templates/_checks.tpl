{{/*
SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
SPDX-License-Identifier: Apache-2.0

What the schema cannot say: values that exclude or need each other. The
Deployment includes this, so nothing renders before it has passed.
*/}}

{{/* A duration such as 1.7s or 100ms, in milliseconds. Takes [name of the value, duration]. */}}
{{- define "endor-gatekeeper-provider.milliseconds" -}}
{{- $duration := index . 1 | toString }}
{{- if not (regexMatch `^[0-9]+(\.[0-9]+)?(ms|s)$` $duration) }}
{{- fail (printf "%s: %q is no duration that this chart reads; write it in s or ms, as in 1.7s" (index . 0) $duration) }}
{{- end }}
{{- if hasSuffix "ms" $duration }}
{{- round (trimSuffix "ms" $duration | float64) 0 | int64 }}
{{- else }}
{{- round (mulf (trimSuffix "s" $duration | float64) 1000) 0 | int64 }}
{{- end }}
{{- end }}

{{- define "endor-gatekeeper-provider.checks" -}}
{{- $tls := .Values.tls }}

{{/* Credentials */}}
{{- $auth := .Values.auth }}
{{- $files := or $auth.apiKeyFile $auth.apiSecretFile }}
{{- $inline := or $auth.apiKey $auth.apiSecret }}
{{- $kinds := 0 }}
{{- range list $auth.existingSecret $files $inline }}{{ if . }}{{ $kinds = add1 $kinds }}{{ end }}{{ end }}
{{- if eq (int $kinds) 0 }}
{{- fail (printf "auth.existingSecret is required: the name of a Secret in namespace %s with the Endor Labs API key (%s) and its secret (%s)" .Release.Namespace $auth.existingSecretKeys.apiKey $auth.existingSecretKeys.apiSecret) }}
{{- end }}
{{- if gt (int $kinds) 1 }}
{{- fail "auth: give the API key in one way only: existingSecret, or apiKeyFile and apiSecretFile, or (for development) apiKey and apiSecret" }}
{{- end }}
{{- if and $files (not (and $auth.apiKeyFile $auth.apiSecretFile)) }}
{{- fail "auth: apiKeyFile and apiSecretFile belong together" }}
{{- end }}
{{- if and $inline (not (and $auth.apiKey $auth.apiSecret)) }}
{{- fail "auth: apiKey and apiSecret belong together" }}
{{- end }}
{{- if and $auth.apiKeyExpiry (not (regexMatch `^[0-9]{4}-[0-9]{2}-[0-9]{2}$` $auth.apiKeyExpiry)) }}
{{- fail (printf "auth.apiKeyExpiry: %q is no day; write it as 2027-03-31" $auth.apiKeyExpiry) }}
{{- end }}
{{- if and .Values.endorCA.existingConfigMap .Values.endorCA.existingSecret }}
{{- fail "endorCA: existingConfigMap or existingSecret, not both" }}
{{- end }}

{{/* Certificates */}}
{{- if not (has $tls.mode (list "auto" "cert-manager" "secret" "generated")) }}
{{- fail (printf "tls.mode: it is auto, cert-manager, secret or generated, not %q" $tls.mode) }}
{{- end }}
{{- if include "endor-gatekeeper-provider.ownsProvider" . }}
{{- if .Values.provider.caBundle }}
{{- fail (printf "provider.caBundle: in mode %s the provider writes it; it is for modes secret and generated" $tls.mode) }}
{{- end }}
{{- if $tls.existingSecret }}
{{- fail (printf "tls.existingSecret: mode %s makes a Secret of its own; it is for modes secret and generated" $tls.mode) }}
{{- end }}
{{- else }}
{{- if not $tls.existingSecret }}
{{- fail (printf "tls.existingSecret: mode %s needs the name of a Secret with tls.crt and tls.key" $tls.mode) }}
{{- end }}
{{- if not .Values.provider.caBundle }}
{{- fail (printf "provider.caBundle: mode %s needs it, base64 of the PEM of the CA that issued the certificate; Gatekeeper refuses a Provider without" $tls.mode) }}
{{- end }}
{{- if not (.Values.provider.caBundle | b64dec | contains "-----BEGIN CERTIFICATE-----") }}
{{- fail "provider.caBundle: it is not base64 of a certificate in PEM" }}
{{- end }}
{{- end }}
{{- if and $tls.clientCA.existingConfigMap $tls.clientCA.existingSecret }}
{{- fail "tls.clientCA: existingConfigMap or existingSecret, not both" }}
{{- end }}
{{- if not (or $tls.insecureNoClientAuth $tls.clientCA.fromWebhook $tls.clientCA.existingConfigMap $tls.clientCA.existingSecret) }}
{{- fail "tls.clientCA: say where Gatekeeper's CA comes from: fromWebhook, existingConfigMap or existingSecret" }}
{{- end }}
{{- if not (regexMatch `^([0-9]{1,6}(\.[0-9]{1,3})?[smh])+$` (toString $tls.caOverlap) | and (regexMatch `[1-9]` (toString $tls.caOverlap))) }}
{{- fail (printf "tls.caOverlap: %q is no duration above zero in h, m and s, as in 1h or 1h30m" (toString $tls.caOverlap)) }}
{{- end }}
{{- if not .Values.gatekeeper.namespace }}
{{- fail "gatekeeper.namespace: it is required; Gatekeeper's client certificate and the NetworkPolicy go by it" }}
{{- end }}
{{- if not .Values.provider.name }}
{{- fail "provider.name: it is required" }}
{{- end }}
{{- if not (hasPrefix "https://" (include "endor-gatekeeper-provider.providerURL" .)) }}
{{- fail "provider.url: Gatekeeper calls providers by https:// only" }}
{{- end }}

{{/* The ladder of timeouts */}}
{{- $budget := include "endor-gatekeeper-provider.milliseconds" (list "timeouts.responseBudget" .Values.timeouts.responseBudget) | int64 }}
{{- $_ := include "endor-gatekeeper-provider.milliseconds" (list "timeouts.degradedWait" .Values.timeouts.degradedWait) }}
{{- $provider := .Values.timeouts.provider | int64 }}
{{- $webhook := .Values.timeouts.webhook | int64 }}
{{- if ne (.Values.timeouts.provider | float64) ($provider | float64) }}
{{- fail "timeouts.provider: Gatekeeper takes whole seconds" }}
{{- end }}
{{- if or (ne (.Values.timeouts.webhook | float64) ($webhook | float64)) (gt $webhook 30) }}
{{- fail (printf "timeouts.webhook: %v is no timeout that Kubernetes takes, which is whole seconds, 30 at most" .Values.timeouts.webhook) }}
{{- end }}
{{- if gt (add $budget 200) (mul $provider 1000) }}
{{- fail (printf "timeouts: responseBudget %s + 0.2s must be at most provider %ds, or Gatekeeper leaves before the answer comes" .Values.timeouts.responseBudget $provider) }}
{{- end }}
{{- if gt (add $budget 500) (mul $webhook 1000) }}
{{- fail (printf "timeouts: responseBudget %s + 0.5s must be at most webhook %ds, or the API server leaves before Gatekeeper answers" .Values.timeouts.responseBudget $webhook) }}
{{- end }}
{{- if ge $provider $webhook }}
{{- fail (printf "timeouts: provider %ds must be less than webhook %ds, or one provider that does not answer outlasts the webhook" $provider $webhook) }}
{{- end }}
{{- $drain := include "endor-gatekeeper-provider.milliseconds" (list "drainDelay" .Values.drainDelay) | int64 }}
{{- /* The program waits for requests in flight for 20s, for the spans of traces for 5s, and for decisions, log and last words for 1s each. */}}
{{- if gt (add $drain 30000) (mul (.Values.terminationGracePeriodSeconds | int64) 1000) }}
{{- fail (printf "terminationGracePeriodSeconds: %v is less than drainDelay %s and 30s for requests in flight, logs and traces" .Values.terminationGracePeriodSeconds .Values.drainDelay) }}
{{- end }}

{{/* Labels that selectors go by */}}
{{- range $from, $labels := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels }}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" }}
{{- if hasKey ($labels | default dict) $label }}
{{- fail (printf "%s: %s is set by the chart, whose selectors go by it" $from $label) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The log */}}
{{- if not (has .Values.logLevel (list "debug" "info" "warn" "error")) }}
{{- fail (printf "logLevel: it is debug, info, warn or error, not %q" (toString .Values.logLevel)) }}
{{- end }}
{{- if not (has .Values.logFormat (list "json" "text")) }}
{{- fail (printf "logFormat: it is json or text, not %q" (toString .Values.logFormat)) }}
{{- end }}

{{- $decisions := include "endor-gatekeeper-provider.decisionLog" . }}
{{- if not (or (has $decisions (list "stdout" "stderr" "off")) (hasPrefix "/" $decisions)) }}
{{- fail (printf "decisionLog.output: it is stdout, stderr, off or the path of a file, not %q" $decisions) }}
{{- end }}
{{- $sample := .Values.decisionLog.sample }}
{{- if or (not (regexMatch `^[0-9]*\.?[0-9]+(e-[0-9]+)?$` (toString $sample))) (gt (float64 $sample) 1.0) }}
{{- fail (printf "decisionLog.sample: it is a share, from 0 to 1, not %v" $sample) }}
{{- end }}

{{/* Traces */}}
{{- $tracing := .Values.tracing }}
{{- if and $tracing.endpoint (not (regexMatch `^https?://[^/]` $tracing.endpoint)) }}
{{- fail (printf "tracing.endpoint: %q is no address; write it as http://HOST:4318" $tracing.endpoint) }}
{{- end }}
{{- if and $tracing.existingSecret (not $tracing.endpoint) }}
{{- fail "tracing.existingSecret: it holds headers for the collector, so it needs tracing.endpoint" }}
{{- end }}

{{/* In a NetworkPolicy no list of ports, an empty one, and a port that is null mean every port */}}
{{- range $to := list "dns" "apiServer" "endor" "redis" "tracing" }}
{{- $ports := (get $.Values.networkPolicy.egress $to).ports }}
{{- if or (not $ports) (has nil $ports) }}
{{- fail (printf "networkPolicy.egress.%s.ports: name at least one port, and no port that is null: either would allow every port" $to) }}
{{- end }}
{{- end }}
{{- end }}
