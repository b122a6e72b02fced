{{- define "dhcp-failover-operator.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "dhcp-failover-operator.selector" -}}
app.kubernetes.io/name: dhcp-failover-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "dhcp-failover-operator.labels" -}}
{{ include "dhcp-failover-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "dhcp-failover-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "dhcp-failover-operator.name" .) }}
{{- else -}}
{{ required "serviceAccount.name is needed with serviceAccount.create=false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "dhcp-failover-operator.priorityClass" -}}
{{- if .Values.priorityClass.name -}}
{{ .Values.priorityClass.name }}
{{- else if .Values.priorityClass.create -}}
{{ include "dhcp-failover-operator.name" . }}-server
{{- end }}
{{- end }}

{{- define "dhcp-failover-operator.image" -}}
{{ .image.repository }}:{{ .image.tag | default .version }}
{{- end }}
