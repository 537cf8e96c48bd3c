package habits_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/internal/testkit"
)

// remote is a node and the habits-service that it forwards to.
func remote(t *testing.T) (node, service *testkit.Server) {
	t.Helper()
	addr := testkit.FreeAddr(t)
	service = testkit.StartHabits(t, map[string]string{
		"habits.secret": secret, "habits.events_url": "http://" + addr + "/v1/events", "log.level": "warn",
	})
	return testkit.Start(t, map[string]string{
		"http.addr": addr, "habits.mode": "http", "habits.url": "http://" + service.HTTP, "habits.secret": secret, "log.level": "warn",
	}), service
}

// TestDeletedCheckinIsForwardedAndCorrectedOnce: the answer and the webhook of the habits-service both tell of it.
func TestDeletedCheckinIsForwardedAndCorrectedOnce(t *testing.T) {
	s, service := remote(t)
	p := s.NewPact("alice", "bob")
	var logged pactwire.CheckinLogged
	s.Must("alice", http.MethodPost, "/v1/pacts/"+string(p.ID)+"/checkins", map[string]string{"status": "completed"}, &logged)
	if code, body, err := s.Call("bob", http.MethodDelete, "/v1/checkins/"+logged.Checkin.ID, nil); code != http.StatusNotFound {
		t.Errorf("somebody else's: %d %s %v", code, body, err)
	}
	if code, body, err := s.Call("alice", http.MethodDelete, "/v1/checkins/"+logged.Checkin.ID, nil); code != http.StatusNoContent {
		t.Fatalf("delete: %d %s %v", code, body, err)
	}
	// The webhook of something that came later has been taken, so that of the deletion has been too.
	service.Must("bob", http.MethodPost, "/v1/pacts/"+string(p.ID)+"/leave", nil, nil)
	var log []pactwire.Activity
	testkit.Eventually(t, limit, "the pact is over", func() bool {
		log = s.Activities("alice", p.ID)
		return log[len(log)-1].Type == pactwire.PactAbandonedA
	})
	n := 0
	for _, a := range log {
		if a.Type != pactwire.CheckinCorrected {
			continue
		}
		n++
		var data pactwire.CheckinData
		if err := json.Unmarshal(a.Data, &data); err != nil {
			t.Fatal(err)
		}
		if data.Status != pactwire.StatusDeleted || data.CheckinID != logged.Checkin.ID || data.StreakUpdate == nil || data.StreakUpdate.After != 0 {
			t.Errorf("%+v, streak %+v", data, data.StreakUpdate)
		}
	}
	if n != 1 {
		t.Errorf("%d corrections, want one", n)
	}
}

// TestProfileIsForwarded: the service that reckons streaks has to know the zone.
func TestProfileIsForwarded(t *testing.T) {
	s, service := remote(t)
	s.Must("alice", http.MethodPatch, "/v1/me", map[string]string{"timeZone": "Pacific/Auckland", "dayStartsAt": "04:00"}, nil)
	for name, at := range map[string]*testkit.Server{"serve": s, "habits-service": service} {
		var me pactwire.User
		at.Must("alice", http.MethodGet, "/v1/me", nil, &me)
		if me.TimeZone != "Pacific/Auckland" || me.DayStartsAt != "04:00" {
			t.Errorf("%s: %+v", name, me)
		}
	}
	if code, body, err := s.Call("alice", http.MethodPatch, "/v1/me", map[string]string{"timeZone": "Mars/Olympus"}); code != http.StatusBadRequest {
		t.Errorf("an unknown zone: %d %s %v", code, body, err)
	}
	service.Kill()
	if code, body, err := s.Call("alice", http.MethodPatch, "/v1/me", map[string]string{"timeZone": "UTC"}); code != http.StatusServiceUnavailable {
		t.Errorf("with the service away: %d %s %v", code, body, err)
	}
	var me pactwire.User
	if s.Must("alice", http.MethodGet, "/v1/me", nil, &me); me.TimeZone != "Pacific/Auckland" {
		t.Errorf("zones differ now: %+v", me)
	}
}

// TestAListedPactFlowsInAtOnce: a pact that was made at the habits-service, which tells of nothing by itself, is known from when its
// member is shown it, alone or in the list.
func TestAListedPactFlowsInAtOnce(t *testing.T) {
	service := testkit.StartHabits(t, map[string]string{"habits.secret": secret, "log.level": "warn"})
	s := testkit.Start(t, map[string]string{
		"habits.mode": "http", "habits.url": "http://" + service.HTTP, "habits.secret": secret, "log.level": "warn",
	})
	sub := s.Subscribe("alice", "5", []string{"pacts/+/state"})
	for _, path := range []string{"/v1/pacts", "/v1/pacts/"} {
		p := service.NewPact("alice", "bob")
		if path != "/v1/pacts" {
			path += string(p.ID)
		}
		s.Must("alice", http.MethodGet, path, nil, nil)
		sub.Wait(1, string(p.ID)+"/state")
	}
}

// TestAServerThatIsItsOwnHabitsService by a wrong habits.url asks itself once, not again and again, and says so. What is to be handed over
// is kept.
func TestAServerThatIsItsOwnHabitsService(t *testing.T) {
	addr := testkit.FreeAddr(t)
	s := testkit.Start(t, map[string]string{"http.addr": addr, "habits.mode": "http", "habits.url": "http://" + addr, "log.level": "error"})
	code, body, err := s.Call("alice", http.MethodPost, "/v1/goals", pactwire.GoalInput{Name: "Run", FrequencyType: "daily"})
	if code != http.StatusServiceUnavailable {
		t.Errorf("%d %s %v", code, body, err)
	}
	if n := s.Metric(`pactwire_http_requests_total{method="POST",route="/v1/goals",status="503"}`); n != 1 {
		t.Errorf("it asked itself %v times", n-1)
	}
	testkit.Eventually(t, limit, "it says what is wrong", func() bool {
		_, body, _ := s.Call("", http.MethodGet, "/readyz", nil)
		return strings.Contains(string(body), "look at habits.url")
	})
}
