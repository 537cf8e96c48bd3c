package habits_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/habits"
	"github.com/pactwire/pactwire/sqlite"
)

// process is a habits-service with its scheduler, as one of several over the same database.
type process struct {
	service
	db     *sqlite.DB
	engine *habits.Embedded
	due    *habits.Scheduler
}

// ledger is what the processes over one database have made known.
type ledger struct {
	db    *sqlite.DB
	spoil atomic.Bool // the next transaction is undone when it is done

	mu      sync.Mutex
	changes []pactwire.Change
}

func (l *ledger) Do(ctx context.Context, fn func(habits.Tx) ([]pactwire.Change, error)) error {
	var cs []pactwire.Change
	err := l.db.Update(ctx, func(tx *sqlite.Tx) (err error) {
		if cs, err = fn(tx); err == nil && len(cs) > 0 && l.spoil.Swap(false) {
			err = errors.New("the power went")
		}
		return err
	})
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changes = append(l.changes, cs...)
	}
	return err
}

// told are the changes since the last call, in short.
func (l *ledger) told() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, c := range l.changes {
		if c.Kind == pactwire.ChangeStreakBroken {
			out = append(out, fmt.Sprintf("broken %s %d", c.User, c.Broken.StreakDays))
			continue
		}
		out = append(out, kinds([]pactwire.Change{c})...)
	}
	l.changes = nil
	return out
}

// processes starts n of them. Only tests make their schedulers look.
func processes(t testing.TB, n int) (*ledger, []process) {
	db, c := openStore(t), newClock()
	l := &ledger{db: db}
	var all []process
	for range n {
		e := habits.NewEmbedded(db, habits.EngineOptions{NoCache: n > 1})
		db.OnRollback(func(bool) { e.Forget() })
		s := habits.NewService(l, db, e, habits.ServiceOptions{Now: c.now})
		all = append(all, process{
			service: service{Service: s, clock: c, checkin: func(ctx context.Context, req pactwire.CheckinRequest) (res pactwire.CheckinResult, err error) {
				err = db.Update(ctx, func(tx *sqlite.Tx) (err error) {
					res, err = e.Checkin(ctx, tx, req)
					return err
				})
				return res, err
			}},
			db: db, engine: e, due: habits.NewScheduler(s, db, slog.New(slog.DiscardHandler), nil),
		})
	}
	return l, all
}

func alone(t testing.TB) (*ledger, process) {
	l, all := processes(t, 1)
	return l, all[0]
}

func (p process) look(t testing.TB) {
	t.Helper()
	if err := p.due.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantTold(t testing.TB, l *ledger, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, l.told()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestStreakIsBrokenWhenTheDayAndGraceAreOver(t *testing.T) {
	l, s := alone(t)
	zone := "Pacific/Auckland" // noon in UTC is midnight there in June
	if _, err := s.UpdateProfile(t.Context(), alice, pactwire.UserPatch{TimeZone: &zone}); err != nil {
		t.Fatal(err)
	}
	p := s.pair(t)
	second, err := s.CreatePact(t.Context(), alice, pactwire.PactInput{HabitGoalID: p.HabitGoalID, PartnerUserIDs: []pactwire.UserID{"carol"}})
	if err != nil {
		t.Fatal(err)
	}
	s.act(t, carol, second.ID, pactwire.ActAccept)
	l.told()
	for _, date := range []string{"2026-06-15", "2026-06-16", "2026-06-17"} {
		s.must(t, on(p, s.clock.on(date).Add(-6*time.Hour)))
	}
	s.clock.set(s.clock.on("2026-06-19").Add(-time.Second)) // the 18th was missed, and grace covers it; the 19th is nearly over
	s.look(t)
	wantTold(t, l)
	s.clock.add(time.Second)
	s.look(t)
	l.mu.Lock()
	c := l.changes[0]
	l.mu.Unlock()
	slices.Sort(c.Pacts)
	want := pactwire.Change{Kind: pactwire.ChangeStreakBroken, User: "alice", UserName: "Alice", Pacts: []pactwire.PactID{p.ID, second.ID},
		Broken: &pactwire.BrokenData{HabitGoalID: p.HabitGoalID, HabitName: "Read", StreakDays: 3}}
	slices.Sort(want.Pacts)
	if diff := cmp.Diff(want, c, cmpopts.IgnoreFields(pactwire.Change{}, "Pact")); diff != "" {
		t.Error(diff)
	}
	wantTold(t, l, "broken alice 3")
	for range 10 {
		s.clock.add(24 * time.Hour)
		s.look(t)
	}
	wantTold(t, l)
}

// TestBackfillMovesTheEnd: a day that is written later keeps the streak, and one that could not have lived is not mourned.
func TestBackfillMovesTheEnd(t *testing.T) {
	l, s := alone(t)
	p := s.pair(t)
	l.told()
	s.must(t, on(p, s.clock.on("2026-06-15")))
	s.clock.set(s.clock.on("2026-06-18"))
	s.look(t)
	wantTold(t, l, "broken alice 1") // at the end of the 17th
	late := on(p, s.clock.on("2026-06-18"))
	late.ScheduledDate = "2026-06-17"
	s.must(t, late) // with grace for the 16th: the run lives again, but not beyond tonight
	s.clock.set(s.clock.on("2026-06-19"))
	s.look(t)
	wantTold(t, l)
	late = on(p, s.clock.now())
	late.ScheduledDate = "2026-06-18"
	s.must(t, late)
	s.must(t, on(p, s.clock.now()))
	s.clock.set(s.clock.on("2026-06-20"))
	s.look(t)
	wantTold(t, l)
	s.clock.set(s.clock.on("2026-06-21"))
	s.look(t)
	wantTold(t, l, "broken alice 4") // it grew, it lived, it ended once more
}

// TestOneEndIsSaidOfARun: a day written into its middle earns grace that lets the run go on a little; when it gets no further,
// its end is not said again.
func TestOneEndIsSaidOfARun(t *testing.T) {
	l, s := alone(t)
	p := s.pair(t)
	l.told()
	for _, day := range []int{1, 2, 3, 5, 6, 7} { // the only grace day is spent on the 4th
		s.must(t, on(p, s.clock.on(fmt.Sprintf("2026-07-%02d", day))))
	}
	s.clock.set(s.clock.on("2026-07-09"))
	s.look(t)
	wantTold(t, l, "broken alice 6")
	late, occurred := on(p, s.clock.now()), pactwire.Time(s.clock.on("2026-07-04"))
	late.ScheduledDate, late.OccurredAt = "", &occurred
	if res := s.must(t, late); res.Streak.After != 7 {
		t.Fatalf("%+v", res.Streak)
	}
	s.clock.set(s.clock.on("2026-07-11"))
	s.look(t)
	wantTold(t, l)
}

func TestEndMovesWithTheZone(t *testing.T) {
	l, s := alone(t)
	p := s.pair(t)
	l.told()
	s.must(t, on(p, s.clock.on("2026-06-15")))
	west, east := "America/Los_Angeles", "Asia/Tokyo"
	if _, err := s.UpdateProfile(t.Context(), alice, pactwire.UserPatch{TimeZone: &west}); err != nil {
		t.Fatal(err)
	}
	s.clock.set(time.Date(2026, 6, 18, 6, 59, 59, 0, time.UTC))
	s.look(t)
	wantTold(t, l)
	if _, err := s.UpdateProfile(t.Context(), alice, pactwire.UserPatch{TimeZone: &east}); err != nil {
		t.Fatal(err)
	}
	s.look(t) // it is over there: when it was to be is when it is said
	wantTold(t, l)
	s.clock.add(time.Second)
	s.look(t)
	wantTold(t, l, "broken alice 1")
}

// TestBrokenOnceOverZones compares what is said with a reckoning day by day, while processes share the database, and
// transactions are undone.
func TestBrokenOnceOverZones(t *testing.T) {
	l, all := processes(t, 2)
	rounds := 0
	rapid.Check(t, func(rt *rapid.T) {
		rounds++
		me := pactwire.Identity{UserID: pactwire.UserID(fmt.Sprint("u", rounds)), UserName: "U"}
		s := all[0]
		zone := rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu", "Africa/Cairo"}).Draw(rt, "zone")
		starts := rapid.SampledFrom([]string{"00:00", "03:30"}).Draw(rt, "starts")
		if _, err := s.UpdateProfile(t.Context(), me, pactwire.UserPatch{TimeZone: &zone, DayStartsAt: &starts}); err != nil {
			rt.Fatal(err)
		}
		z, err := habits.NewZone(zone, starts)
		if err != nil {
			rt.Fatal(err)
		}
		in := pactwire.GoalInput{Name: "Run", FrequencyType: rapid.SampledFrom([]string{"daily", "daily", "weekly", "custom"}).Draw(rt, "type")}
		if in.FrequencyType != "daily" {
			in.TargetDaysOfWeek = rapid.SliceOfNDistinct(rapid.IntRange(0, 6), 1, 6, rapid.ID).Draw(rt, "weekdays")
		}
		g, err := s.CreateGoal(t.Context(), me, in)
		if err != nil {
			rt.Fatal(err)
		}
		p, err := s.CreatePact(t.Context(), me, pactwire.PactInput{HabitGoalID: g.ID, PartnerUserIDs: []pactwire.UserID{"bob"}, DurationDays: 90})
		if err != nil {
			rt.Fatal(err)
		}
		if _, err := s.Act(t.Context(), bob, p.ID, pactwire.ActAccept); err != nil {
			rt.Fatal(err)
		}
		m := &model{zone: z, schedule: habits.ScheduleOf(g), days: map[habits.Day]written{}, today: z.Day(s.clock.now())}
		for range rapid.IntRange(1, 50).Draw(rt, "steps") {
			s.clock.add(time.Duration(rapid.IntRange(1, 14*3600).Draw(rt, "seconds")) * time.Second)
			want := m.turn(s.clock.now())
			l.told()
			spoil := rapid.IntRange(0, 3).Draw(rt, "spoil") == 0
			l.spoil.Store(spoil)
			if rapid.Bool().Draw(rt, "both") {
				var wg sync.WaitGroup
				for _, s := range all {
					wg.Go(func() {
						for s.due.Look(t.Context()) != nil {
						}
					})
				}
				wg.Wait()
			}
			for all[rapid.IntRange(0, 1).Draw(rt, "which")].due.Look(t.Context()) != nil {
			}
			l.spoil.Store(false)
			var got []string
			for _, what := range l.told() {
				if len(what) > 7 && what[:7] == "broken " && what[7:7+len(me.UserID)+1] == string(me.UserID)+" " {
					got = append(got, what[8+len(me.UserID):])
				}
			}
			if !slices.Equal(got, want) {
				rt.Fatalf("on %s: said %v, want %v (%+v)", m.today.LocalDate(), got, want, m)
			}
			m.act(rt, t, all[rapid.IntRange(0, 1).Draw(rt, "where")], me, p)
		}
	})
}

// written is a completed check-in of the model: its id, and the local day on which it was written.
type written struct {
	id string
	on habits.Day
}

// model reckons streaks from scratch each time a day has turned.
type model struct {
	zone     habits.Zone
	schedule habits.Schedule
	today    habits.Day
	days     map[habits.Day]written
	said     []habits.Run
}

// turn moves to now and returns the length of a streak whose end is to be said, if there is one.
func (m *model) turn(now time.Time) (lengths []string) {
	before := m.today
	if m.today = m.zone.Day(now); m.today == before || len(m.days) == 0 {
		return nil
	}
	var days []habits.Day
	for d := range m.days {
		days = append(days, d)
	}
	slices.Sort(days)
	st := habits.Summarize(m.schedule, days)
	r, _ := st.Latest()
	alive := func(d habits.Day) bool { return habits.StreakOn(st.Row("g"), m.schedule, d).Current > 0 }
	if !alive(before) || alive(m.today) || !alive(m.days[r.To].on+1) {
		return nil
	}
	for _, said := range m.said {
		if said.From <= r.To && r.To <= said.To {
			return nil
		}
	}
	m.said = append(m.said, r)
	return []string{fmt.Sprint(r.Length)}
}

// act writes a day or takes one back, or does nothing.
func (m *model) act(rt *rapid.T, t *testing.T, s process, me pactwire.Identity, p pactwire.Pact) {
	d := m.today - habits.Day(rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2}).Draw(rt, "ago"))
	w, done := m.days[d]
	switch rapid.SampledFrom([]string{"", "complete", "complete", "delete"}).Draw(rt, "act") {
	case "complete":
		res, err := s.checkin(t.Context(), pactwire.CheckinRequest{UserID: me.UserID, UserName: me.UserName, PactID: p.ID,
			Status: pactwire.StatusCompleted, ReceivedAt: s.clock.now(), ScheduledDate: d.LocalDate()})
		if err != nil {
			rt.Fatal(err)
		}
		if !done {
			m.days[d] = written{res.Checkin.ID, m.today}
		}
	case "delete":
		if !done {
			return
		}
		err := s.db.Update(t.Context(), func(tx *sqlite.Tx) error {
			_, err := s.engine.DeleteCheckin(t.Context(), tx, me.UserID, w.id, s.clock.now())
			return err
		})
		if err != nil {
			rt.Fatal(err)
		}
		delete(m.days, d)
	}
}

func TestPactEndsOnItsLastDay(t *testing.T) {
	for _, tc := range []struct {
		name   string
		keep   bool
		status pactwire.PactStatus
		told   string
	}{
		{"completed when somebody kept it", true, pactwire.PactCompleted, "completed (completed)"},
		{"expired when nobody did", false, pactwire.PactExpired, "expired (expired)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, s := alone(t)
			p := s.pair(t)
			if tc.keep {
				s.must(t, on(p, s.clock.on("2026-06-15")))
				if err := l.db.Update(t.Context(), func(tx *sqlite.Tx) error { return tx.PutDue("streak alice "+string(p.HabitGoalID), time.Time{}) }); err != nil {
					t.Fatal(err)
				}
			}
			l.told()
			s.clock.set(p.EndDate.Std().Add(-time.Millisecond))
			s.look(t)
			wantTold(t, l)
			s.clock.set(p.EndDate.Std())
			s.look(t)
			s.look(t)
			wantTold(t, l, tc.told)
			got, err := s.Service.Pact(t.Context(), alice, p.ID)
			if err != nil || got.Status != tc.status || got.EndedAt == nil || !got.EndedAt.Std().Equal(p.EndDate.Std()) {
				t.Errorf("%+v, %v", got, err)
			}
			_, err = s.checkin(t.Context(), on(p, s.clock.now()))
			wantCode(t, err, pactwire.Conflict, "")
		})
	}
}

func TestInvitationsExpire(t *testing.T) {
	l, s := alone(t)
	g, err := s.CreateGoal(t.Context(), alice, pactwire.GoalInput{Name: "Run"})
	if err != nil {
		t.Fatal(err)
	}
	begun, never := s.create(t, g.ID, "bob", "carol"), s.create(t, g.ID, "bob")
	s.act(t, bob, begun.ID, pactwire.ActAccept)
	l.told()
	s.clock.add(10 * 24 * time.Hour)
	if _, err := s.InviteCode(t.Context(), alice, never.ID); err != nil { // which is good for 14 days from now
		t.Fatal(err)
	}
	s.clock.add(4 * 24 * time.Hour)
	s.look(t)
	wantTold(t, l, "declined carol (expired)")
	got, err := s.Service.Pact(t.Context(), alice, begun.ID)
	if err != nil || got.Status != pactwire.PactActive || statusOf(got, "carol") != pactwire.MemberDeclined {
		t.Errorf("%+v, %v", got, err)
	}
	s.clock.add(10 * 24 * time.Hour)
	s.look(t)
	wantTold(t, l, "declined bob (expired)", "expired (expired)")
	_, err = s.Act(t.Context(), bob, never.ID, pactwire.ActAccept)
	if err == nil {
		t.Error("accepted what had expired")
	}
}

// TestOneBadAppointmentHoldsUpNoOther: what cannot be done stands back, and stays.
func TestOneBadAppointmentHoldsUpNoOther(t *testing.T) {
	l, s := alone(t)
	p := s.pair(t)
	l.told()
	bad := pactwire.Due{Key: "moonrise", At: noon.Add(-time.Hour)}
	if err := l.db.Update(t.Context(), func(tx *sqlite.Tx) error { return tx.PutDue(bad.Key, bad.At) }); err != nil {
		t.Fatal(err)
	}
	s.clock.set(p.EndDate.Std())
	if err := s.due.Look(t.Context()); err == nil {
		t.Error("nothing was said of an appointment that could not be kept")
	}
	wantTold(t, l, "expired (expired)")
	list, err := l.db.Due(t.Context(), s.clock.now().Add(24*time.Hour), 10)
	if err != nil || len(list) != 1 || list[0].Key != bad.Key || !list[0].At.Equal(s.clock.now().Add(time.Hour)) {
		t.Errorf("%v, %v", list, err)
	}
}

// TestHostTellsOfBrokenStreaks: a habits-service by itself keeps its appointments and tells the serving node.
func TestHostTellsOfBrokenStreaks(t *testing.T) {
	db, c := openStore(t), newClock()
	told := make(chan json.RawMessage, 1)
	serving := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var hook struct {
			Type string
			Data json.RawMessage
		}
		if err := json.NewDecoder(r.Body).Decode(&hook); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusAccepted)
		if hook.Type == "streak.broken" {
			told <- hook.Data
		}
	}))
	t.Cleanup(serving.Close)
	h, err := habits.NewHost(hostStore{db}, habits.HostConfig{Secret: testSecret, EventsURL: serving.URL, Service: habits.ServiceOptions{Now: c.now}}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := service{Service: h.Service(), clock: c}
	p := s.pair(t)
	if _, _, err := h.Checkin(t.Context(), on(p, noon), false); err != nil {
		t.Fatal(err)
	}
	c.set(c.on("2026-06-18"))
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	select {
	case data := <-told:
		want := `{"userId":"alice","userName":"Alice","habitGoalId":"` + string(p.HabitGoalID) + `","habitName":"Read","streakDays":1}`
		if string(data) != want {
			t.Errorf("%s, want %s", data, want)
		}
	case <-time.After(30 * time.Second):
		t.Error("the end of the streak was not told")
	}
}
