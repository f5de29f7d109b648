{{/* What the schema cannot say. Each message names the value and the fix. */}}
{{- define "headstart.checks" -}}
{{- if and .Values.data.url .Values.data.volume -}}
{{- fail "data.url and data.volume are both given, and the server has one data root; leave one of them out" -}}
{{- end -}}
{{- if and .Values.database.url .Values.database.existingSecret -}}
{{- fail "database.url and database.existingSecret are both given; leave one of them out" -}}
{{- end -}}
{{- if gt (int .Values.replicaCount) 1 -}}
{{- if not (or .Values.database.url .Values.database.existingSecret) -}}
{{- fail "replicaCount is above 1, but each server would have jobs of its own; give database.url or database.existingSecret" -}}
{{- end -}}
{{- if not .Values.storage.url -}}
{{- fail "replicaCount is above 1, but servers could not go on with each other's jobs; give storage.url" -}}
{{- end -}}
{{- if .Values.persistence.existingClaim -}}
{{- fail "replicaCount is above 1, and persistence.existingClaim is one server's; leave it out, and each server gets a volume" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tls.enabled (not .Values.tls.existingSecret) -}}
{{- fail "tls.enabled is true, but tls.existingSecret names no secret with tls.crt and tls.key; name one, such as cert-manager makes" -}}
{{- end -}}
{{- if and .Values.ray.enabled (not .Values.storage.url) (not (has "ReadWriteMany" .Values.persistence.accessModes)) -}}
{{- fail "ray.enabled is true, but Ray's nodes would not see the server's files; give storage.url, or a volume of accessMode ReadWriteMany" -}}
{{- end -}}
{{- if and .Values.ray.enabled .Values.ray.address (not .Values.ray.existingTokenSecret) -}}
{{- fail "ray.address names a cluster of your own, but ray.existingTokenSecret no secret with its token; name it" -}}
{{- end -}}
{{- if and .Values.ray.enabled (hasPrefix "ray://" .Values.ray.address) -}}
{{- fail "ray.address begins with ray://, the port of Ray's client; the server joins as a node: give HOST:6379" -}}
{{- end -}}
{{- if and .Values.grpcRoute.enabled (not .Values.grpcRoute.parentRefs) -}}
{{- fail "grpcRoute.enabled is true, but grpcRoute.parentRefs names no gateway" -}}
{{- end -}}
{{- end -}}
