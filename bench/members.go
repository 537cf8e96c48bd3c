package bench

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pactwire/pactwire"
)

// Member is one line of the file that prepare writes: one person in one pact.
type Member struct {
	ClientID string
	Username string
	Password string
	Pact     pactwire.PactID
	Goal     pactwire.GoalID
}

// WriteMembers writes one tab-separated line a member. Members of a pact must stand on adjacent lines.
func WriteMembers(w io.Writer, members []Member) error {
	b := bufio.NewWriter(w)
	for _, m := range members {
		fmt.Fprintf(b, "%s\t%s\t%s\t%s\t%s\n", m.ClientID, m.Username, m.Password, m.Pact, m.Goal)
	}
	return b.Flush()
}

// ReadMembers reads what WriteMembers wrote.
func ReadMembers(path string) ([]Member, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []Member
	s := bufio.NewScanner(f)
	s.Buffer(nil, 64<<10)
	for s.Scan() {
		p := strings.Split(s.Text(), "\t")
		if len(p) != 5 {
			return nil, fmt.Errorf("%s:%d: %d fields, want client id, username, password, pact id and habit goal id", path, len(out)+1, len(p))
		}
		out = append(out, Member{ClientID: p[0], Username: p[1], Password: p[2], Pact: pactwire.PactID(p[3]), Goal: pactwire.GoalID(p[4])})
	}
	if s.Err() == nil && len(out) == 0 {
		return nil, fmt.Errorf("%s is empty", path)
	}
	return out, s.Err()
}

// pacts groups members by pact.
func pacts(members []Member) [][]Member {
	var out [][]Member
	for i := 0; i < len(members); {
		j := i + 1
		for j < len(members) && members[j].Pact == members[i].Pact {
			j++
		}
		out = append(out, members[i:j])
		i = j
	}
	return out
}
