package push

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// NewHTTPClient is a client for channels: no redirects, since what is signed or secret goes where it was meant to go. nil
// is a transport like the standard library's.
func NewHTTPClient(rt http.RoundTripper) *http.Client {
	if rt == nil {
		rt = http.DefaultTransport.(*http.Transport).Clone()
	}
	return &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// RetryAfter is how long an answer asks to wait; 0 = it does not.
func RetryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return time.Duration(min(n, int(longestRetry/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 10

// ReadAnswer reads the beginning of an answer, so that its connection can be used again. Closing is left to the caller.
func ReadAnswer(res *http.Response) []byte {
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil // what it says is for the log alone
	}
	return b
}
