package config

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// Size is a number of bytes, written with a unit: 512B, 64KiB, 1MiB.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// ParseSize reads a size. 0 needs no unit.
func ParseSize(s string) (Size, error) {
	if s == "0" {
		return 0, nil
	}
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		return Size(n * u.bytes), nil
	}
	return 0, fmt.Errorf("%q is no size; write a whole number and a unit, such as 64KiB or 1MiB", s)
}

// String writes the size with the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return "0"
}

// Secret is a value that must not be read over a shoulder. Every way of printing it says hidden.
type Secret string

const hidden = "(hidden)"

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides it from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides it from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// URL is an address that may hold a password. Printing it leaves the password out.
type URL string

// String is the address without its password.
func (u URL) String() string {
	if !strings.Contains(string(u), "://") {
		return string(u) // sqlite:path
	}
	p, err := url.Parse(string(u))
	if err != nil {
		return hidden
	}
	if q := p.Query(); q.Has("password") || q.Has("sslpassword") {
		for _, k := range []string{"password", "sslpassword"} {
			if q.Has(k) {
				q.Set(k, "hidden")
			}
		}
		p.RawQuery = q.Encode()
	}
	if _, ok := p.User.Password(); ok {
		p.User = url.UserPassword(p.User.Username(), "hidden")
	}
	return p.String()
}

// GoString leaves the password out of %#v.
func (u URL) GoString() string { return strconv.Quote(u.String()) }

// MarshalText leaves the password out of encoders.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }
