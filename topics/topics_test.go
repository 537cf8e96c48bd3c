package topics_test

import (
	"strings"
	"testing"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/topics"
	"pgregory.net/rapid"
)

func TestParseKnowsEveryTopicOfTheGrammar(t *testing.T) {
	for s, want := range map[string]topics.Topic{
		"pacts/p1/activity":         {Kind: topics.ActivityKind, Pact: "p1"},
		"pacts/p1/state":            {Kind: topics.StateKind, Pact: "p1"},
		"pacts/p1/presence/bob":     {Kind: topics.PresenceKind, Pact: "p1", User: "bob"},
		"pacts/p1/checkins":         {Kind: topics.CheckinsKind, Pact: "p1"},
		"pacts/p1/celebrations":     {Kind: topics.CelebrationsKind, Pact: "p1"},
		"pacts/p1/encouragements":   {Kind: topics.EncouragementKind, Pact: "p1"},
		"pacts/p1/reactions":        {Kind: topics.ReactionsKind, Pact: "p1"},
		"pacts/p1/messages":         {Kind: topics.MessagesKind, Pact: "p1"},
		"pacts/p1/history":          {Kind: topics.HistoryKind, Pact: "p1"},
		"users/al_1/inbox":          {Kind: topics.InboxKind, User: "al_1"},
		"users/al_1/pacts":          {Kind: topics.PactsKind, User: "al_1"},
		"users/al_1/presence":       {Kind: topics.UserPresenceKind, User: "al_1"},
		"users/al_1/messages":       {Kind: topics.UserMessagesKind, User: "al_1"},
		"users/al_1/connections":    {Kind: topics.ConnectionsKind, User: "al_1"},
		"users/al_1/notifications":  {Kind: topics.NotificationsKind, User: "al_1"},
		"users/al_1/replies/a/b":    {Kind: topics.RepliesKind, User: "al_1", Rest: "a/b"},
		"devices/d-2/checkins":      {Kind: topics.DeviceCheckinKind, Device: "d-2"},
		"devices/d-2/replies":       {Kind: topics.DeviceRepliesKind, Device: "d-2"},
		"$SYS/broker/clients/total": {Kind: topics.SysKind, Rest: "$SYS/broker/clients/total"},
		"fridge/temperature":        {Kind: topics.Other, Rest: "fridge/temperature"},
	} {
		got, err := topics.Parse(s)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", s, got, err, want)
		}
		if got.String() != s {
			t.Errorf("%q is spelt back as %q", s, got.String())
		}
	}
}

func TestParseRefusesWhatIsNoTopic(t *testing.T) {
	for _, s := range []string{
		"", "pacts", "pacts/", "pacts//activity", "pacts/p1", "pacts/p1/", "pacts/p1/activity/", "pacts/p1/activityx",
		"pacts/p 1/activity", "pacts/p1/presence", "pacts/p1/presence/", "pacts/p1/presence/a/b", "pacts/+/activity",
		"pacts/p1/#", "users/al/replies", "users/al/replies/", "users//inbox", "devices/d/activity", "pacts/é/activity",
		"a\x00b", "\xff", strings.Repeat("a/", 8) + "a", strings.Repeat("a", 257), "pacts/" + strings.Repeat("p", 65) + "/state",
	} {
		if got, err := topics.Parse(s); pactwire.CodeOf(err) != pactwire.Invalid {
			t.Errorf("Parse(%q) = %+v, %v; want invalid", s, got, err)
		}
	}
}

func TestSubscribeByRole(t *testing.T) {
	member := pactwire.Identity{UserID: "alice"}
	operator := pactwire.Identity{UserID: "ops", Roles: pactwire.RoleOperator}
	lab := pactwire.Identity{UserID: "lab", Roles: pactwire.RoleLab}
	device := pactwire.Identity{UserID: "alice", Device: "d1"}
	for _, c := range []struct {
		who    pactwire.Identity
		filter string
		want   topics.Verdict
	}{
		{member, "pacts/p/activity", topics.IfMember},
		{member, "pacts/p/state", topics.IfMember},
		{member, "pacts/p/presence/bob", topics.IfPartner},
		{member, "pacts/p/presence/+", topics.IfMember},
		{member, "pacts/p/#", topics.IfMember},
		{member, "pacts/+/activity", topics.Yes},
		{member, "pacts/+/state", topics.Yes},
		{member, "pacts/+/presence/+", topics.Yes},
		{member, "pacts/#", topics.Yes},
		{member, "users/alice/inbox", topics.Yes},
		{member, "users/alice/pacts", topics.Yes},
		{member, "users/alice/#", topics.Yes},
		{member, "users/alice/replies/42", topics.Yes},
		{member, "users/bob/inbox", topics.No},
		{member, "users/bob/#", topics.No},
		{member, "users/+/inbox", topics.No},
		{member, "users/#", topics.No},
		{member, "users/alice/presence", topics.No},
		{member, "users/alice/+", topics.No},
		{member, "pacts/p/checkins", topics.No},
		{member, "pacts/+/checkins", topics.No},
		{member, "pacts/+/#", topics.No},
		{member, "pacts/p/+", topics.No},
		{member, "pacts/p/presence/#", topics.No},
		{member, "pacts/+/presence/bob", topics.No},
		{member, "+/+/activity", topics.No},
		{member, "+/p/activity", topics.No},
		{member, "#", topics.No},
		{member, "+", topics.No},
		{member, "/pacts/p/activity", topics.No},
		{member, "pacts/p/activity/#", topics.No},
		{member, "$SYS/#", topics.No},
		{member, "$share/g/pacts/p/activity", topics.SharedNo},
		{member, "$SHARE/g/#", topics.SharedNo},
		{member, "$share/g", topics.Malformed},
		{member, "pacts/p#", topics.Malformed},
		{member, "pacts/#/state", topics.Malformed},
		{member, "devices/d1/replies", topics.No},
		{member, "fridge/#", topics.No},
		{operator, "pacts/+/activity", topics.Yes},
		{operator, "#", topics.Yes},
		{operator, "users/+/inbox", topics.Yes},
		{operator, "$SYS/#", topics.SysFigures},
		{operator, "$share/g/#", topics.SharedNo},
		{device, "devices/d1/replies", topics.Yes},
		{device, "devices/d2/replies", topics.No},
		{device, "users/alice/inbox", topics.No},
		{device, "pacts/p/activity", topics.No},
		{lab, "#", topics.Plain},
		{lab, "fridge/+", topics.Plain},
		{lab, "$share/g/fridge/+", topics.Plain},
		{lab, "$share/g/pacts/+/activity", topics.No},
		{lab, "$share/g/$SYS/#", topics.No},
		{lab, "$SYS/#", topics.No},
		{lab, "pacts/+/activity", topics.No},
		{lab, "users/lab/inbox", topics.No},
		{lab, "test/nosubscribe", topics.No},
	} {
		if _, got := topics.Subscribe(c.who, true, c.filter); got != c.want {
			t.Errorf("%s on %q: %d, want %d", c.who.UserID, c.filter, got, c.want)
		}
	}
	if _, got := topics.Subscribe(lab, false, "fridge/+"); got != topics.No {
		t.Errorf("with lab.enabled off a lab token got %d", got)
	}
}

func TestPublishByRole(t *testing.T) {
	member := pactwire.Identity{UserID: "alice"}
	operator := pactwire.Identity{UserID: "ops", Roles: pactwire.RoleOperator}
	lab := pactwire.Identity{UserID: "lab", Roles: pactwire.RoleLab}
	for _, c := range []struct {
		who   pactwire.Identity
		topic string
		want  topics.Verdict
	}{
		{member, "pacts/p/checkins", topics.IfMember},
		{member, "pacts/p/history", topics.IfMember},
		{member, "pacts/p/activity", topics.No},
		{member, "pacts/p/state", topics.No},
		{member, "pacts/p/presence/alice", topics.No},
		{member, "users/alice/presence", topics.Yes},
		{member, "users/bob/presence", topics.No},
		{member, "users/bob/inbox", topics.No},
		{member, "users/alice/inbox", topics.No},
		{member, "users/bob/messages", topics.Yes},
		{member, "fridge", topics.No},
		{member, "$SYS/x", topics.No},
		{member, "devices/d/checkins", topics.No},
		{operator, "pacts/p/checkins", topics.No},
		{operator, "users/ops/presence", topics.No},
		{lab, "fridge", topics.Plain},
		{lab, "$SYS/x", topics.No},
		{lab, "$own/x", topics.No},
		{lab, "pacts/p/checkins", topics.No},
	} {
		topic, err := topics.Parse(c.topic)
		if err != nil {
			t.Fatal(err)
		}
		if got := topics.Publish(c.who, true, topic); got != c.want {
			t.Errorf("%s to %q: %d, want %d", c.who.UserID, c.topic, got, c.want)
		}
	}
}

func TestMatchFollowsMQTT(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a/+", "a/b", true}, {"a/+", "a", false}, {"a/+", "a/b/c", false}, {"a/#", "a", true},
		{"a/#", "a/b/c", true}, {"#", "a", true}, {"#", "$SYS/a", false}, {"+/a", "$SYS/a", false}, {"$SYS/#", "$SYS/a", true},
		{"+", "/a", false}, {"+/+", "/a", true}, {"/+", "/a", true}, {"a//b", "a//b", true}, {"a/+/b", "a//b", true}, {"a", "a/b", false},
	} {
		if got := topics.Match(c.filter, c.topic); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.filter, c.topic, got)
		}
	}
}

// What Covers says of the product's filters is what MQTT would say, and never reaches past the pact or user it names.
func TestCoversNeverReachesAnotherPact(t *testing.T) {
	level := rapid.SampledFrom([]string{"pacts", "users", "p", "q", "+", "#", "activity", "state", "presence", "alice", "bob", "inbox", "replies", "x", "", "checkins", "pacts"})
	path := rapid.Map(rapid.SliceOfN(level, 1, 5), func(ls []string) string { return strings.Join(ls, "/") })
	member := pactwire.Identity{UserID: "alice"}
	rapid.Check(t, func(t *rapid.T) {
		f, verdict := topics.Subscribe(member, true, path.Draw(t, "filter"))
		topic, err := topics.Parse(path.Draw(t, "topic"))
		if err != nil {
			return
		}
		covers := f.Covers(topic)
		if covers && !topics.Match(f.String(), topic.String()) {
			t.Fatalf("%q covers %q, which MQTT does not match", f, topic)
		}
		if verdict == topics.No || verdict == topics.Malformed || verdict == topics.SharedNo || !covers {
			return
		}
		if topic.Kind.Up() {
			t.Fatalf("%q lets a subscriber see commands on %q", f, topic)
		}
		if topic.Pact != "" && !f.AllPacts() && topic.Pact != f.Pact() {
			t.Fatalf("%q of pact %q covers %q", f, f.Pact(), topic)
		}
		if topic.Kind == topics.InboxKind && topic.User != "alice" {
			t.Fatalf("%q covers %q", f, topic)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"pacts/p/activity", "users/u/replies/a", "$SYS/a", "devices/d/checkins", "a/\xff", "pacts/+/#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		topic, err := topics.Parse(s)
		if err != nil {
			return
		}
		if topic.String() != s {
			t.Fatalf("%q is spelt back as %q", s, topic)
		}
		if topic.Pact != "" && !strings.HasPrefix(s, "pacts/"+string(topic.Pact)+"/") {
			t.Fatalf("%q became a topic of pact %q", s, topic.Pact)
		}
	})
}

func FuzzSubscribe(f *testing.F) {
	for _, s := range []string{"pacts/p/#", "pacts/+/presence/+", "users/alice/#", "$share/g/a", "#", "pacts/p/presence/bob"} {
		f.Add(s, "pacts/q/activity")
	}
	f.Fuzz(func(t *testing.T, filter, name string) {
		parsed, verdict := topics.Subscribe(pactwire.Identity{UserID: "alice"}, true, filter)
		topic, err := topics.Parse(name)
		if err != nil || verdict == topics.No || !parsed.Covers(topic) {
			return
		}
		if topic.Kind.Up() || topic.User != "" && topic.Kind != topics.PresenceKind && topic.User != "alice" {
			t.Fatalf("alice's %q covers %q", filter, name)
		}
		if topic.Pact != "" && !parsed.AllPacts() && topic.Pact != parsed.Pact() {
			t.Fatalf("%q covers %q", filter, name)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = topics.Parse("pacts/0199c1de-7a4b-7c1e-9d2f-3b1c2d3e4f50/checkins")
	}
}
