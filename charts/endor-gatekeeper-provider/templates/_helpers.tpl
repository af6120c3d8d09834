{{/*
SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
SPDX-License-Identifier: Apache-2.0
*/}}

{{- define "endor-gatekeeper-provider.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimAll "-" }}
{{- end }}

{{/* At most 52 bytes, since names of objects add to it and Pods of a Job carry its name as a label. */}}
{{- define "endor-gatekeeper-provider.fullname" -}}
{{- $name := include "endor-gatekeeper-provider.name" . }}
{{- $made := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- default $made .Values.fullnameOverride | trunc 52 | trimAll "-" }}
{{- end }}

{{- define "endor-gatekeeper-provider.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "endor-gatekeeper-provider.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The Secret of the certificate, in every mode. */}}
{{- define "endor-gatekeeper-provider.tlsSecretName" -}}
{{- if has .Values.tls.mode (list "secret" "generated") }}
{{- .Values.tls.existingSecret }}
{{- else }}
{{- include "endor-gatekeeper-provider.fullname" . }}-tls
{{- end }}
{{- end }}

{{- define "endor-gatekeeper-provider.credentialsSecretName" -}}
{{- default (printf "%s-credentials" (include "endor-gatekeeper-provider.fullname" .)) .Values.auth.existingSecret }}
{{- end }}

{{- define "endor-gatekeeper-provider.serviceHost" -}}
{{- include "endor-gatekeeper-provider.fullname" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{- define "endor-gatekeeper-provider.providerURL" -}}
{{- default (printf "https://%s:443/validate" (include "endor-gatekeeper-provider.serviceHost" .)) .Values.provider.url }}
{{- end }}

{{/* DNS names of the certificate, as JSON: a template can only give text. */}}
{{- define "endor-gatekeeper-provider.tlsNames" -}}
{{- $host := include "endor-gatekeeper-provider.serviceHost" . }}
{{- $names := list $host (get (include "endor-gatekeeper-provider.providerURL" . | urlParse) "host" | regexFind "^[^:]+") }}
{{- concat $names .Values.tls.extraNames | uniq | toJson }}
{{- end }}

{{- define "endor-gatekeeper-provider.clientNames" -}}
{{- default (list (printf "gatekeeper-webhook-service.%s.svc" .Values.gatekeeper.namespace)) .Values.tls.clientNames | join "," }}
{{- end }}

{{/* The webhook configuration to take the client CA from; empty if it comes from elsewhere. */}}
{{- define "endor-gatekeeper-provider.clientCAWebhook" -}}
{{- if not (or .Values.tls.insecureNoClientAuth .Values.tls.clientCA.existingConfigMap .Values.tls.clientCA.existingSecret) }}
{{- .Values.tls.clientCA.fromWebhook }}
{{- end }}
{{- end }}

{{/* Not empty in the modes in which the running provider owns the Provider object. */}}
{{- define "endor-gatekeeper-provider.ownsProvider" -}}
{{- if has .Values.tls.mode (list "auto" "cert-manager") }}true{{ end }}
{{- end }}

{{/* Not empty if the program speaks to the API server. */}}
{{- define "endor-gatekeeper-provider.needsAPI" -}}
{{- include "endor-gatekeeper-provider.ownsProvider" . }}{{ include "endor-gatekeeper-provider.clientCAWebhook" . }}
{{- end }}

{{/* Not empty if the program counts constraints, for which alone it would not speak to the API server. */}}
{{- define "endor-gatekeeper-provider.countsConstraints" -}}
{{- if and .Values.constraintMetrics (include "endor-gatekeeper-provider.needsAPI" .) }}true{{ end }}
{{- end }}

{{/* Where decisions go. YAML reads an off without quotes as false. */}}
{{- define "endor-gatekeeper-provider.decisionLog" -}}
{{- eq (toString .Values.decisionLog.output) "false" | ternary "off" (toString .Values.decisionLog.output) }}
{{- end }}

{{- define "endor-gatekeeper-provider.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{- define "endor-gatekeeper-provider.selectorLabels" -}}
app.kubernetes.io/name: {{ include "endor-gatekeeper-provider.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: provider
{{- end }}

{{/* A map of texts, such as labels: Kubernetes takes no number and no true for one. */}}
{{- define "endor-gatekeeper-provider.texts" -}}
{{- $texts := dict }}
{{- range $key, $value := . }}
{{- $_ := set $texts $key (kindIs "string" $value | ternary $value (toJson $value)) }}
{{- end }}
{{- toYaml $texts }}
{{- end }}

{{/* Labels of every object, without the component. */}}
{{- define "endor-gatekeeper-provider.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/name: {{ include "endor-gatekeeper-provider.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/part-of: endor-gatekeeper-provider
{{- with .Values.commonLabels }}
{{ include "endor-gatekeeper-provider.texts" . }}
{{- end }}
{{- end }}

{{- define "endor-gatekeeper-provider.labels" -}}
{{ include "endor-gatekeeper-provider.commonLabels" . }}
app.kubernetes.io/component: provider
{{- end }}

{{/* The source of a volume with CAs, from {existingConfigMap, existingSecret, key}; always as ca.crt. */}}
{{- define "endor-gatekeeper-provider.caVolume" -}}
{{- if .existingConfigMap -}}
configMap:
  name: {{ .existingConfigMap | quote }}
{{- else -}}
secret:
  secretName: {{ .existingSecret | quote }}
{{- end }}
  defaultMode: 0440
  items:
    - key: {{ .key | quote }}
      path: ca.crt
{{- end }}
