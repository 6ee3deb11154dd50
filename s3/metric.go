package s3

import "strings"

// Metric returns the operation's name in metrics and logs, such as "s3-get-object-tagging".
func (o *Operation) Metric() string { return metricNames[o.Op] }

// Metrics lists the names of all operations.
func Metrics() []string { return metricNames[OpNone+1:] }

var metricNames = func() []string {
	names := make([]string, opCount)
	for i := range operations {
		b := []byte("s3")
		for j, c := range []byte(operations[i].Name) {
			if c >= 'A' && c <= 'Z' && (j == 0 || operations[i].Name[j-1] < 'A' || operations[i].Name[j-1] > 'Z') {
				b = append(b, '-')
			}
			b = append(b, c)
		}
		names[operations[i].Op] = strings.ToLower(string(b))
	}
	return names
}()
