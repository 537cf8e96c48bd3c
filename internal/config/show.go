package config

import (
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Show writes the settings as YAML, each with where it came from. Secrets are hidden.
func (l Loaded) Show(w io.Writer) error {
	var lines [][2]string
	width := 0
	section := ""
	for key, f := range fields(reflect.ValueOf(&l.Config).Elem(), "") {
		path := strings.Split(key, ".")
		group := strings.Join(path[:len(path)-1], ".")
		if group != section {
			for i, name := range path[:len(path)-1] {
				if !strings.HasPrefix(section+".", strings.Join(path[:i+1], ".")+".") {
					lines = append(lines, [2]string{strings.Repeat("  ", i) + name + ":", ""})
				}
			}
			section = group
		}
		line := strings.Repeat("  ", len(path)-1) + path[len(path)-1] + ": " + Format(f.Interface())
		width = max(width, len(line))
		lines = append(lines, [2]string{line, "# " + l.Origin[key]})
	}
	for _, line := range lines {
		text := fmt.Sprintf("%-*s  %s", width, line[0], line[1])
		if _, err := fmt.Fprintln(w, strings.TrimRight(text, " ")); err != nil {
			return err
		}
	}
	return nil
}

// Format writes a setting as it stands in YAML.
func Format(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return formatDuration(v)
	case Size:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []string:
		return formatList(v)
	case []netip.Prefix:
		words := make([]string, len(v))
		for i, p := range v {
			words[i] = p.String()
		}
		return formatList(words)
	default: // the kinds of string
		return strconv.Quote(fmt.Sprint(v))
	}
}

func formatList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// formatDuration leaves out the units that are zero: 9600h, not 9600h0m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
