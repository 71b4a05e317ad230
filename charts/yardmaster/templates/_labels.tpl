{{- /* What selects the operator's Pods; never changes, since selectors cannot. */}}
{{- define "yardmaster.selector" -}}
app.kubernetes.io/name: yardmaster
app.kubernetes.io/component: operator
{{- end }}

{{- define "yardmaster.labels" -}}
{{ include "yardmaster.selector" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}
