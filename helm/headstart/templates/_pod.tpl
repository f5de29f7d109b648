{{- define "headstart.env" -}}
# Whatever a library wants to keep in its user's home goes to /tmp: the user has none.
- name: HOME
  value: /tmp
- name: HF_HOME
  value: /var/lib/headstart/huggingface
- name: TORCH_HOME
  value: /var/lib/headstart/torch
{{- if or .Values.database.url .Values.database.existingSecret }}
- name: HEADSTART_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "headstart.databaseSecret" . | quote }}
      key: {{ .Values.database.existingSecretKey | quote }}
{{- end }}
{{- if .Values.ray.enabled }}
{{ include "headstart.rayToken" . }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "headstart.resources" -}}
{{- $resources := deepCopy .Values.resources -}}
{{- if .Values.gpu.enabled -}}
{{- $limits := merge (dict .Values.gpu.resource .Values.gpu.count) (default dict $resources.limits) -}}
{{- $_ := set $resources "limits" $limits -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* The kubelet's gRPC probe knows no TLS; its HTTPS one asks for no certificate that it would have to know. */}}
{{- define "headstart.probe" -}}
{{- if .root.Values.tls.enabled -}}
httpGet:
  path: {{ .path }}
  port: http
  scheme: HTTPS
{{- else -}}
grpc:
  port: 50051
{{- end }}
periodSeconds: {{ .root.Values.probes.periodSeconds }}
timeoutSeconds: {{ .root.Values.probes.timeoutSeconds }}
failureThreshold: {{ .failures }}
{{- end -}}

{{- define "headstart.probes" -}}
startupProbe:
  {{- $starts := div (add .Values.probes.startupSeconds .Values.probes.periodSeconds -1) .Values.probes.periodSeconds }}
  {{- include "headstart.probe" (dict "root" . "failures" $starts "path" "/readyz") | nindent 2 }}
readinessProbe:
  {{- include "headstart.probe" (dict "root" . "failures" .Values.probes.readinessFailures "path" "/readyz") | nindent 2 }}
livenessProbe:
  {{- include "headstart.probe" (dict "root" . "failures" .Values.probes.livenessFailures "path" "/livez") | nindent 2 }}
{{- end -}}

{{- define "headstart.volumeMounts" -}}
- name: state
  mountPath: /var/lib/headstart
- name: tmp
  mountPath: /tmp
- name: shm
  mountPath: /dev/shm
{{- if .Values.data.volume }}
- name: data
  mountPath: /data
  readOnly: true
{{- end }}
{{- if .Values.models.volume }}
- name: models
  mountPath: /models
  readOnly: true
{{- end }}
{{- if .Values.tls.enabled }}
- name: tls
  mountPath: /etc/headstart/tls
  readOnly: true
{{- end }}
{{- if .Values.quotas }}
- name: quotas
  mountPath: /etc/headstart/quotas
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "headstart.volumes" -}}
- name: tmp
  emptyDir: {}
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ .Values.sharedMemory | quote }}
{{- if not .Values.persistence.enabled }}
- name: state
  emptyDir: {}
{{- else if .Values.persistence.existingClaim }}
- name: state
  persistentVolumeClaim:
    claimName: {{ .Values.persistence.existingClaim | quote }}
{{- end }}
{{- with .Values.data.volume }}
- name: data
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.models.volume }}
- name: models
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ .Values.tls.existingSecret | quote }}
{{- end }}
{{- if .Values.quotas }}
- name: quotas
  configMap:
    name: {{ printf "%s-quotas" (include "headstart.fullname" .) | quote }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
