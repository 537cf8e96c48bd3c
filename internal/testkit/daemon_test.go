package testkit

import "testing"

func TestPostgresKeepsWhatWasCommittedOverAKill(t *testing.T) {
	p := Postgres(t)
	url := p.Database()
	p.SQLIn(url, "CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
	p.Kill()
	p.Start()
	if got := p.SQLIn(url, "SELECT n FROM t"); got != "7" {
		t.Errorf("after a kill the table holds %q", got)
	}
	p.Stop()
	p.Start()
	if got := p.SQL("SHOW synchronous_commit"); got != "on" {
		t.Errorf("synchronous_commit %q", got)
	}
	if other := p.Database(); other == url {
		t.Errorf("two databases are the same: %s", url)
	}
}

func TestRedisComesBackOnItsPort(t *testing.T) {
	r := Redis(t)
	r.Do("SET", "k", "v")
	r.Stop()
	r.Start()
	if got := r.Do("GET", "k"); got != "v" {
		t.Errorf("after a stop: %q", got)
	}
	r.FlushAll()
	if got := r.Do("DBSIZE"); got != "0" {
		t.Errorf("after FLUSHALL %s keys", got)
	}
	r.Kill()
	r.Start()
	if got := r.Do("PING"); got != "PONG" {
		t.Errorf("after a kill: %q", got)
	}
}
