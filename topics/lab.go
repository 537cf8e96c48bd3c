package topics

import "strings"

// labTopic reports whether a topic or filter lies outside the product's own: its first level is none of pacts, users,
// devices, and it does not begin with $. A filter that begins with a wildcard is a lab filter, since nothing of the
// product's is ever published through plain MQTT.
func labTopic(s string) bool {
	head, _, _ := strings.Cut(s, "/")
	switch head {
	case "pacts", "users", "devices":
		return false
	}
	return !strings.HasPrefix(head, "$")
}

// cutShare splits $share/{group}/{filter}.
func cutShare(s string) (group, inner string, ok bool) {
	_, tail, _ := strings.Cut(s, "/")
	return strings.Cut(tail, "/")
}
