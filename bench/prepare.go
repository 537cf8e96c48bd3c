package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/pactwire/pactwire"
	"golang.org/x/sync/errgroup"
)

// Prepare says what to make on a running server.
type Prepare struct {
	Server   string // base URL
	Pacts    int
	Members  int                                           // a pact
	Parallel int                                           // calls at a time; 8 by default
	Sign     func(pactwire.UserID, string) (string, error) // makes a token for a user id and name
	Progress func(done, of int)
}

// Run makes new people and active pacts among them.
func (p *Prepare) Run(ctx context.Context) ([]Member, error) {
	if p.Members < pactwire.MinMembers || p.Members > pactwire.MaxMembers {
		return nil, fmt.Errorf("a pact has %d to %d members", pactwire.MinMembers, pactwire.MaxMembers)
	}
	var salt [4]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return nil, err
	}
	run := "bench-" + hex.EncodeToString(salt[:])
	parallel := p.Parallel
	if parallel <= 0 {
		parallel = 8
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: parallel}}
	defer client.CloseIdleConnections()
	out := make([]Member, p.Pacts*p.Members)
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i := range p.Pacts {
		g.Go(func() error {
			if err := p.pact(ctx, client, run, i, out[i*p.Members:(i+1)*p.Members]); err != nil {
				return fmt.Errorf("pact %d: %w", i+1, err)
			}
			if n := done.Add(1); p.Progress != nil {
				p.Progress(int(n), p.Pacts)
			}
			return nil
		})
	}
	return out, g.Wait()
}

// pact makes the people of one pact, its goal, and itself, until all have accepted.
func (p *Prepare) pact(ctx context.Context, client *http.Client, run string, n int, out []Member) error {
	for i := range out {
		user := pactwire.UserID(fmt.Sprintf("%s-%d", run, n*len(out)+i))
		token, err := p.Sign(user, fmt.Sprintf("Bench %d", n*len(out)+i))
		if err != nil {
			return err
		}
		out[i] = Member{ClientID: string(user), Username: string(user), Password: token}
	}
	var goal pactwire.Goal
	if err := p.post(ctx, client, out[0].Password, "/v1/goals", pactwire.GoalInput{Name: "Bench", FrequencyType: "daily"}, &goal); err != nil {
		return err
	}
	in := pactwire.PactInput{HabitGoalID: goal.ID}
	for _, m := range out[1:] {
		in.PartnerUserIDs = append(in.PartnerUserIDs, pactwire.UserID(m.Username))
	}
	var pact pactwire.Pact
	if err := p.post(ctx, client, out[0].Password, "/v1/pacts", in, &pact); err != nil {
		return err
	}
	for _, m := range out[1:] {
		if err := p.post(ctx, client, m.Password, "/v1/pacts/"+string(pact.ID)+"/accept", struct{}{}, nil); err != nil {
			return err
		}
	}
	for i := range out {
		out[i].Pact, out[i].Goal = pact.ID, goal.ID
	}
	return nil
}

func (p *Prepare) post(ctx context.Context, client *http.Client, token, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Server+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("POST %s: %s: %s", path, resp.Status, bytes.TrimSpace(answer))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}
