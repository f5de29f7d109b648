{{/* KubeRay makes the secret of a cluster with authOptions, by the cluster's own name. */}}
{{- define "headstart.rayToken" -}}
- name: RAY_AUTH_MODE
  value: token
- name: RAY_AUTH_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ default (include "headstart.rayName" .) .Values.ray.existingTokenSecret | quote }}
      key: {{ .Values.ray.existingTokenSecretKey | quote }}
{{- end -}}

{{/* A node without CPUs beside the server: a driver joins a cluster through a node on its own machine. */}}
{{- define "headstart.rayNode" -}}
- name: ray-node
  image: {{ include "headstart.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  restartPolicy: Always
  command: [sh, -c]
  args:
    - exec ray start --address={{ include "headstart.rayAddress" . }} --num-cpus=0 --num-gpus=0 --object-store-memory=500000000 --block
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  env:
    - name: HOME
      value: /tmp
    {{- include "headstart.rayToken" . | nindent 4 }}
  resources:
    requests:
      cpu: 100m
      memory: 1Gi
    limits:
      memory: 2Gi
  volumeMounts:
    - name: tmp
      mountPath: /tmp
    - name: shm
      mountPath: /dev/shm
{{- end -}}

{{/* Environment, mounts and volumes of Ray's own pods, whose workers are this program's. */}}
{{- define "headstart.rayContainer" -}}
image: {{ include "headstart.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
env:
  - name: HOME
    value: /tmp
  - name: HEADSTART_STATE_DIR
    value: /var/lib/headstart
  - name: HF_HOME
    value: /var/lib/headstart/huggingface
  - name: TORCH_HOME
    value: /var/lib/headstart/torch
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if or .Values.storage.existingSecret .Values.extraEnvFrom }}
envFrom:
  {{- with .Values.storage.existingSecret }}
  - secretRef:
      name: {{ . | quote }}
  {{- end }}
  {{- with .Values.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
volumeMounts:
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
{{- end -}}

{{/* The server's own claim where all machines can mount it; else each node keeps its copies of what the bucket has. */}}
{{- define "headstart.rayVolumes" -}}
- name: tmp
  emptyDir: {}
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ .Values.sharedMemory | quote }}
{{- if and .Values.persistence.enabled (not .Values.storage.url) }}
- name: state
  persistentVolumeClaim:
    claimName: {{ default (printf "state-%s-0" (include "headstart.fullname" .)) .Values.persistence.existingClaim | quote }}
{{- else }}
- name: state
  emptyDir: {}
{{- end }}
{{- with .Values.data.volume }}
- name: data
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.models.volume }}
- name: models
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "headstart.rayPod" -}}
serviceAccountName: {{ include "headstart.serviceAccountName" . | quote }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
volumes:
  {{- include "headstart.rayVolumes" . | nindent 2 }}
{{- end -}}
