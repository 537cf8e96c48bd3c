package config

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Keys are the paths of all settings, in the order of Config.
func Keys() []string {
	var keys []string
	for k := range fields(reflect.ValueOf(&Config{}).Elem(), "") {
		keys = append(keys, k)
	}
	return keys
}

// fields yields every setting of a struct with its path.
func fields(v reflect.Value, prefix string) func(yield func(string, reflect.Value) bool) {
	return func(yield func(string, reflect.Value) bool) { walk(v, prefix, yield) }
}

func walk(v reflect.Value, prefix string, yield func(string, reflect.Value) bool) bool {
	for i := range v.NumField() {
		path := prefix + v.Type().Field(i).Tag.Get("koanf")
		f := v.Field(i)
		if f.Kind() == reflect.Struct {
			if !walk(f, path+".", yield) {
				return false
			}
			continue
		}
		if !yield(path, f) {
			return false
		}
	}
	return true
}

// set parses raw, a string or a list of strings, into a setting.
func set(f reflect.Value, raw any) error {
	if f.Kind() == reflect.Slice {
		return setList(f, raw)
	}
	s, ok := raw.(string)
	if !ok {
		return fmt.Errorf("needs one value, not a list or a section")
	}
	switch f.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is no duration; write a number and a unit, such as 15s, 500ms or 24h", s)
		}
		f.SetInt(int64(d))
		return nil
	case Size:
		n, err := ParseSize(s)
		f.SetInt(int64(n))
		return err
	}
	switch f.Kind() {
	case reflect.String:
		f.SetString(s)
	case reflect.Bool:
		if s != "true" && s != "false" {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		f.SetBool(s == "true")
	case reflect.Int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%q is no whole number", s)
		}
		f.SetInt(int64(n))
	case reflect.Float64:
		x, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(x) {
			return fmt.Errorf("%q is no number", s)
		}
		f.SetFloat(x)
	}
	return nil
}

// setList takes a YAML list, or from the environment and flags words with commas between them.
func setList(f reflect.Value, raw any) error {
	var words []string
	switch raw := raw.(type) {
	case string:
		for w := range strings.SplitSeq(raw, ",") {
			if w = strings.TrimSpace(w); w != "" {
				words = append(words, w)
			}
		}
	case []any:
		for _, w := range raw {
			s, ok := w.(string)
			if !ok {
				return fmt.Errorf("needs a list of plain values")
			}
			words = append(words, s)
		}
	default:
		return fmt.Errorf("needs a list")
	}
	if f.Type() == reflect.TypeFor[[]string]() {
		f.Set(reflect.ValueOf(words))
		return nil
	}
	var prefixes []netip.Prefix
	for _, w := range words {
		p, err := parsePrefix(w)
		if err != nil {
			return err
		}
		prefixes = append(prefixes, p)
	}
	f.Set(reflect.ValueOf(prefixes))
	return nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", s)
	}
	return p, nil
}

// nearest is the known key that a mistaken one was most likely meant to be, empty if that would change more than two
// of its letters, and more than half.
func nearest(key string) string {
	best, bestAt := "", max(3, len(key)/2+1)
	for _, k := range Keys() {
		d := distance(key, k)
		// The right name in the wrong section is a closer guess than many letters would say, and so is a section without a name.
		if last(k) == last(key) || strings.HasPrefix(k, key+".") {
			d = min(d, 2)
		}
		if d < bestAt {
			best, bestAt = k, d
		}
	}
	return best
}

func last(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// distance counts the letters to insert, delete or replace between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func known(key string) bool { return slices.Contains(Keys(), key) }
