package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table writes rows of name and value.
func table(w io.Writer, rows ...[2]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, r := range rows {
		if r[1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", r[0], r[1])
		}
	}
	return t.Flush()
}

func (l Latency) String() string {
	return fmt.Sprintf("p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f  max %.1f ms", l.P50, l.P90, l.P99, l.P999, l.Max)
}

// Table writes the report for people.
func (r PairsReport) Table(w io.Writer) error {
	rows := [][2]string{
		{r.Scenario, fmt.Sprintf("%d pacts, %d connections, %s", r.Pacts, r.Connections, r.Transport)},
		{"rate", fmt.Sprintf("%.0f/s acked, %.0f/s wanted", r.Rate, r.TargetRate)},
		{"check-ins", fmt.Sprintf("%d sent, %d acked, %d refused", r.Sent, r.Acked, r.Refused)},
		{"receipts", fmt.Sprintf("%d of %d, %d lost, %d twice, %d out of order", r.Received, r.Expected, r.Lost, r.Duplicates, r.OrderError)},
		{"to the partner", r.Delivery.String()},
		{"to the ack", r.Ack.String()},
		{"generator late", r.Late.String()},
	}
	if r.Dropped > 0 {
		rows = append(rows, [2]string{"dropped", fmt.Sprintf("%d connections", r.Dropped)})
	}
	if r.RSSMiB > 0 {
		rows = append(rows, [2]string{"server", fmt.Sprintf("%.3f CPU s for 1000 check-ins, %.0f MiB", r.CPUPer1000, r.RSSMiB)})
	}
	if r.Ceiling {
		rows = append(rows, [2]string{"CEILING", "the generator itself was late: this is its limit or the machine's, not the server's"})
	}
	return table(w, rows...)
}

// Table writes the report for people.
func (r IdleReport) Table(w io.Writer) error {
	memory := ""
	if r.BeforeMiB > 0 {
		memory = fmt.Sprintf("%.1f KiB a connection (%.0f → %.0f MiB)", r.KiBPerConnection, r.BeforeMiB, r.AfterMiB)
	}
	return table(w,
		[2]string{"idle", fmt.Sprintf("%d connections, 3 subscriptions each, %s", r.Connections, r.Transport)},
		[2]string{"connected in", fmt.Sprintf("%.2f s", r.ConnectSeconds)},
		[2]string{"memory", memory})
}

// Table writes the report for people.
func (r ReconnectReport) Table(w io.Writer) error {
	var s, m []string
	for _, x := range r.Seconds {
		s = append(s, fmt.Sprintf("%.2f s", x))
	}
	for _, x := range r.RSSMiB {
		m = append(m, fmt.Sprintf("%.0f MiB", x))
	}
	return table(w,
		[2]string{"reconnect", fmt.Sprintf("%d sessions dropped at once, %s", r.Connections, r.Transport)},
		[2]string{"all back in", strings.Join(s, ", ")},
		[2]string{"memory", strings.Join(m, ", ")})
}

// Table writes the report for people.
func (r FanoutReport) Table(w io.Writer) error {
	cpu := ""
	if r.CPUPer1000 > 0 {
		cpu = fmt.Sprintf("%.4f CPU s for 1000 deliveries", r.CPUPer1000)
	}
	return table(w,
		[2]string{"fan-out", fmt.Sprintf("%d subscribers, %d events, %s", r.Subscribers, r.Events, r.Transport)},
		[2]string{"deliveries", fmt.Sprintf("%.0f/s, %d lost", r.DeliveriesSec, r.Lost)},
		[2]string{"latency", r.Delivery.String()},
		[2]string{"server", cpu})
}

// Table writes the report for people.
func (r StormReport) Table(w io.Writer) error {
	memory := ""
	if r.RSSMiB > 0 {
		memory = fmt.Sprintf("%.0f MiB", r.RSSMiB)
	}
	return table(w,
		[2]string{"presence storm", fmt.Sprintf("%d people come and go %d times, %d watch, %s", r.People, r.Rounds, r.Watchers, r.Transport)},
		[2]string{"changes", fmt.Sprintf("%d of %d told, %d not", r.Told, r.Expected, r.Untold)},
		[2]string{"come, to the partner", r.Come.String()},
		[2]string{"go, to the partner", r.Go.String()},
		[2]string{"all rounds in", fmt.Sprintf("%.2f s", r.Seconds)},
		[2]string{"memory", memory})
}

// Table writes the report for people.
func (r EveningReport) Table(w io.Writer) error {
	rows := [][2]string{
		{"evening", fmt.Sprintf("%d pacts, %d sessions, %s", r.Pacts, r.Connections, r.Transport)},
		{"rate", fmt.Sprintf("%.0f/s done, %.0f/s wanted, %d skipped", r.Rate, r.TargetRate, r.Skipped)},
		{"done", fmt.Sprintf("%d check-ins, %d messages, %d celebrations, %d reactions, %d reconnects", r.Checkins, r.Messages, r.Celebrations, r.Reactions, r.Reconnects)},
		{"acks", fmt.Sprintf("%d, of them %d refusals", r.Acked, r.Refused)},
		{"receipts", fmt.Sprintf("%d of %d, %d lost, %d again after a reconnect, %d twice, %d out of order", r.Received, r.Expected, r.Lost, r.Again, r.Duplicates, r.OrderError)},
		{"to the partner", r.Delivery.String()},
		{"to the ack", r.Ack.String()},
		{"back after a drop", r.Back.String()},
		{"generator late", r.Late.String()},
	}
	if r.Dropped > 0 {
		rows = append(rows, [2]string{"dropped", fmt.Sprintf("%d connections", r.Dropped)})
	}
	if r.RSSMiB > 0 {
		rows = append(rows, [2]string{"server", fmt.Sprintf("%.2f CPU s, %.0f MiB", r.CPUSeconds, r.RSSMiB)})
	}
	if r.Ceiling {
		rows = append(rows, [2]string{"CEILING", "the generator itself was late: this is its limit or the machine's, not the server's"})
	}
	return table(w, rows...)
}
