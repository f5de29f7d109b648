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

{{/* Before the server: of several pods that start at once one does it, and the others find it done. */}}
{{- define "headstart.migration" -}}
- name: migrate
  image: {{ include "headstart.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [migrate]
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  {{- with .Values.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  env:
    {{- include "headstart.env" . | nindent 4 }}
  resources:
    {{- toYaml .Values.database.migrationResources | nindent 4 }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
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

{{/* By HTTP, which says whether the server lives apart from whether its database and storage do; of TLS the kubelet asks
     for no certificate that it would have to know. Ready is what can answer: were a server taken out of its service while
     the database is away that all of them share, none would be left to predict, or to say what is wrong. */}}
{{- define "headstart.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
  scheme: {{ ternary "HTTPS" "HTTP" .root.Values.tls.enabled }}
periodSeconds: {{ .root.Values.probes.periodSeconds }}
timeoutSeconds: {{ .root.Values.probes.timeoutSeconds }}
failureThreshold: {{ .failures }}
{{- end -}}

{{- define "headstart.probes" -}}
startupProbe:
  {{- $starts := div (add .Values.probes.startupSeconds .Values.probes.periodSeconds -1) .Values.probes.periodSeconds }}
  {{- include "headstart.probe" (dict "root" . "failures" $starts "path" "/livez") | nindent 2 }}
readinessProbe:
  {{- include "headstart.probe" (dict "root" . "failures" .Values.probes.readinessFailures "path" "/readyz?service=PredictionService") | nindent 2 }}
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
{{- if .Values.tls.clientCaSecret }}
- name: client-ca
  mountPath: /etc/headstart/client-ca
  readOnly: true
{{- end }}
{{- if .Values.auth.existingSecret }}
- name: tokens
  mountPath: /etc/headstart/auth
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
{{- if .Values.tls.clientCaSecret }}
- name: client-ca
  secret:
    secretName: {{ .Values.tls.clientCaSecret | quote }}
    items:
      - key: {{ .Values.tls.clientCaSecretKey | quote }}
        path: ca.crt
{{- end }}
{{- if .Values.auth.existingSecret }}
- name: tokens
  secret:
    secretName: {{ .Values.auth.existingSecret | quote }}
    items:
      - key: {{ .Values.auth.existingSecretKey | quote }}
        path: tokens
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
