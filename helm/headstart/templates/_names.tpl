{{/* Name of the chart in labels. */}}
{{- define "headstart.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of all objects, such as a service may have: no dots, no digit first. 40 characters leave room for what is put behind it. */}}
{{- define "headstart.fullname" -}}
{{- $release := replace "." "-" .Release.Name -}}
{{- $name := include "headstart.name" . -}}
{{- $full := printf "%s-%s" $release $name -}}
{{- if regexMatch "^[0-9]" $release -}}
{{- $full = printf "%s-%s" $name $release -}}
{{- else if contains $name $release -}}
{{- $full = $release -}}
{{- end -}}
{{- default $full .Values.fullnameOverride | trunc 40 | regexFind "^.*[^-]" -}}
{{- end -}}

{{- define "headstart.selectorLabels" -}}
app.kubernetes.io/name: {{ include "headstart.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "headstart.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "headstart.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: headstart
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Metadata of an object: (list CONTEXT SUFFIX ANNOTATIONS LABELS). */}}
{{- define "headstart.metadata" -}}
{{- $root := index . 0 -}}
{{- $annotations := merge (dict) (index . 2) $root.Values.commonAnnotations -}}
name: {{ printf "%s%s" (include "headstart.fullname" $root) (index . 1) | quote }}
namespace: {{ $root.Release.Namespace | quote }}
labels:
  {{- include "headstart.labels" $root | nindent 2 }}
  {{- with index . 3 }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "headstart.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "headstart.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "headstart.image" -}}
{{- $tag := default (printf "%s%s" .Chart.AppVersion (ternary "-cuda" "" .Values.gpu.enabled)) .Values.image.tag -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}


{{- define "headstart.databaseSecret" -}}
{{- default (printf "%s-database" (include "headstart.fullname" .)) .Values.database.existingSecret -}}
{{- end -}}

{{/* Whether the server asks for credentials; empty if not. */}}
{{- define "headstart.asks" -}}
{{- if or .Values.auth.existingSecret .Values.config.oidc_issuer -}}
yes
{{- end -}}
{{- end -}}

{{/* The RayCluster of this chart, and the address of the cluster whosoever it is. */}}
{{- define "headstart.rayName" -}}
{{- printf "%s-ray" (include "headstart.fullname" .) -}}
{{- end -}}

{{- define "headstart.rayAddress" -}}
{{- default (printf "%s-head-svc:6379" (include "headstart.rayName" .)) .Values.ray.address -}}
{{- end -}}

{{/* A value as a flag takes it: whole numbers above a million would otherwise be written as 1e+06. */}}
{{- define "headstart.plain" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}
