package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/sqlite"
)

// childEnv makes the test binary the process that is killed; its value is the path of the database.
const childEnv = "PACTWIRE_TEST_KILLED_CHILD"

const killStreams = 7

func killStream(i int) pactwire.Stream {
	return pactwire.ActivityOf(pactwire.PactID(fmt.Sprint("pact", i)))
}

// killedChild appends as fast as it can and prints "stream seq payload" for each entry that the store called done.
func killedChild(path string) int {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path}, nil, nil)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	acks := make(chan string, 1<<16)
	go func() {
		for n := 0; ; n++ {
			i := n % killStreams
			stream := killStream(i)
			var seq pactwire.Seq
			payload := fmt.Sprintf("%d-%d", os.Getpid(), n)
			err := db.Submit(ctx, func(tx *sqlite.Tx) error {
				head, err := tx.Head(stream)
				if err != nil {
					return err
				}
				seq = head + 1
				if n%11 == 0 {
					return pactwire.Errorf(pactwire.Conflict, "now and then one fails")
				}
				return tx.Append(pactwire.Entry{Stream: stream, Seq: seq, Payload: []byte(payload)}, time.Now())
			}, func(err error) {
				if err == nil {
					acks <- fmt.Sprintln(i, seq, payload)
				}
			})
			if err != nil {
				acks <- fmt.Sprintln("error", err)
				return
			}
		}
	}()
	for line := range acks {
		if _, err := os.Stdout.WriteString(line); err != nil {
			return 1
		}
	}
	return 0
}

// TestPromise1KillLosesNoAckedEntry kills a writing process at random moments, time after time on the same file.
func TestPromise1KillLosesNoAckedEntry(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "pactwire.db")
	rnd := rand.New(rand.NewPCG(2026, 11))
	acked := map[string]string{} // "stream seq" → payload
	for round := range 6 {
		before := len(acked)
		killAfterAcks(t, path, 50+rnd.IntN(3000), acked)
		if len(acked) == before {
			t.Fatalf("round %d: the child acked nothing", round)
		}
		db := open(t, path)
		if err := db.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		kept := 0
		for i := range killStreams {
			entries, err := db.ReadAfter(ctx, killStream(i), 0, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for j, e := range entries {
				if e.Seq != pactwire.Seq(j+1) {
					t.Fatalf("round %d: stream %d has entry %d at place %d", round, i, e.Seq, j+1)
				}
				if want, ok := acked[fmt.Sprint(i, " ", e.Seq)]; ok {
					kept++
					if want != string(e.Payload) {
						t.Fatalf("round %d: stream %d entry %d was acked as %s and is %s", round, i, e.Seq, want, e.Payload)
					}
				}
			}
		}
		if kept != len(acked) {
			t.Fatalf("round %d: %d entries were acked and %d are there", round, len(acked), kept)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d acked entries, all there", len(acked))
}

// killAfterAcks runs a child until n acks came, kills it and notes every ack that it printed.
func killAfterAcks(t *testing.T, path string, n int, acked map[string]string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for i := 0; ; i++ {
		line, err := lines.ReadString('\n')
		if err != nil { // the end of what it could print; a torn last line was never an ack
			break
		}
		f := strings.Fields(line)
		if f[0] == "error" {
			t.Errorf("child: %s", line)
			break
		}
		acked[f[0]+" "+f[1]] = f[2]
		if i == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
}
