{{- define "secretsyncer.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "secretsyncer.fullname" -}}
{{- $name := include "secretsyncer.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of cluster-wide objects. Releases with the same name in two namespaces must not share them. */}}
{{- define "secretsyncer.clusterName" -}}
{{- $fullname := include "secretsyncer.fullname" . -}}
{{- ternary $fullname (printf "%s-%s" .Release.Namespace $fullname) (eq .Release.Namespace "k8s-secret-syncer") -}}
{{- end -}}

{{- define "secretsyncer.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "secretsyncer.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "secretsyncer.selector" -}}
app.kubernetes.io/name: {{ include "secretsyncer.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "secretsyncer.labels" -}}
{{ include "secretsyncer.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "secretsyncer.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The permissions of the operator, for a ClusterRole or for a Role in each watched namespace. */}}
{{- define "secretsyncer.rules" -}}
- apiGroups: [secrets.contentful.com]
  resources: [syncedsecrets]
  verbs: [list, watch]
- apiGroups: [secrets.contentful.com]
  resources: [syncedsecrets/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [namespaces]
  verbs: {{ if .Values.watchNamespaces }}[get]{{ else }}[get, list, watch]{{ end }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* The permissions for spec.restart. */}}
{{- define "secretsyncer.restartRules" -}}
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [get, list, patch]
- apiGroups: [argoproj.io]
  resources: [rollouts]
  verbs: [get, list, patch]
{{- end -}}

{{- define "secretsyncer.subjects" -}}
- kind: ServiceAccount
  name: {{ include "secretsyncer.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
