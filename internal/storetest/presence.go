package storetest

import (
	"fmt"
	"testing"

	"github.com/pactwire/pactwire"
)

var presenceTests = []test{
	{"presence is kept", on(testSeen)},
}

func testSeen(t *testing.T, s Store) {
	alice := pactwire.Seen{User: "alice", LastSeen: noon, Version: 7, Online: true}
	bob := pactwire.Seen{User: "bob", Version: 1}
	many := []pactwire.Seen{alice, bob}
	for i := range 200 {
		many = append(many, pactwire.Seen{User: pactwire.UserID(fmt.Sprint("u", i)), LastSeen: noon, Version: 1})
	}
	if err := s.SaveSeen(ctx, many); err != nil {
		t.Fatal(err)
	}
	s = s.Reopen(t)
	got, err := s.LastSeen(ctx, []pactwire.UserID{"alice", "bob", "carol"})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "seen", map[pactwire.UserID]pactwire.Seen{"alice": alice, "bob": bob}, got)
	online, err := s.WereOnline(ctx)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "online", []pactwire.UserID{"alice"}, online)
	alice.Online, alice.Version = false, 8
	if err := s.SaveSeen(ctx, []pactwire.Seen{alice}); err != nil {
		t.Fatal(err)
	}
	if online, err := s.WereOnline(ctx); err != nil || len(online) != 0 {
		t.Errorf("%v, %v", online, err)
	}
}
