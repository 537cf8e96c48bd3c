package push

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/pactwire/pactwire"
)

func TestWordsInThreeLanguages(t *testing.T) {
	const (
		checkin       = `{"type":"checkin_completed","userName":"Ana","data":{"habitName":"Yoga","streakUpdate":{"after":12}}}`
		first         = `{"type":"checkin_completed","userName":"Ana","data":{"habitName":"Yoga","streakUpdate":{"after":1}}}`
		milestone     = `{"type":"streak_milestone","userName":"Ana","data":{"habitName":"Yoga","streakDays":30}}`
		own           = `{"type":"SERVER:STREAK_MILESTONE","data":{"habitName":"Yoga","streakDays":30}}`
		celebration   = `{"type":"SERVER:CELEBRATION_RECEIVED","data":{"celebration":{"pactId":"p"},"fromUserName":"Ana","message":"Go {name}!"}}`
		encouragement = `{"type":"encouragement_sent","userName":"Ana","data":{"targetUserId":"bob","message":"","emoji":"💪"}}`
		nothing       = `{"type":"encouragement_sent","userName":"Ana","data":{"targetUserId":"bob","emoji":null}}`
		message       = `{"type":"message_sent","userName":"Ana","data":{"message":"see you"}}`
		direct        = `{"type":"SERVER:SEND_DIRECT_MESSAGE","data":{"contextUserId":"a","message":{"id":"m","fromUserId":"a","fromUserName":"Ana","toUserId":"bob","text":"hi"}}}`
		invitation    = `{"type":"SERVER:PACT_INVITATION","data":{"pact":{"id":"p","habitName":"Yoga"},"fromUserName":"Ana"}}`
		unreadable    = `{"type":`
	)
	for _, c := range []struct {
		locale, title, text string
		kind                pactwire.PushKind
		event               string
	}{
		{"en", "Ana checked in", "Yoga: day 12.", pactwire.PushCheckin, checkin},
		{"", "Ana checked in", "Yoga: done for today.", pactwire.PushCheckin, first},
		{"de-DE", "Ana checked in", "Yoga: day 12.", pactwire.PushCheckin, checkin},
		{"es-MX", "Ana ha cumplido hoy", "Yoga: día 12.", pactwire.PushCheckin, checkin},
		{"fr_CA", "Ana l'a fait aujourd'hui", "Yoga : jour 12.", pactwire.PushCheckin, checkin},
		{"en-US", "Ana reached 30 days", "30 days of Yoga. A good moment to cheer!", pactwire.PushMilestone, milestone},
		{"ES", "¡30 días!", "30 días de Yoga. ¡Enhorabuena!", pactwire.PushMilestone, own},
		{"fr", "30 jours !", "30 jours de Yoga. Bravo !", pactwire.PushMilestone, own},
		{"en", "Ana cheers for you", "Go {name}!", pactwire.PushCelebration, celebration},
		{"en", "Ana believes in you", "💪", pactwire.PushEncouragement, encouragement},
		{"fr", "Ana croit en toi", "Ana t'envoie des encouragements.", pactwire.PushEncouragement, nothing},
		{"es", "Ana", "see you", pactwire.PushMessage, message},
		{"fr", "Ana", "hi", pactwire.PushMessage, direct},
		{"es", "Ana te invita a un pacto", "Yoga, ¿juntos?", pactwire.PushInvitation, invitation},
		{"en", "Your partner checked in", "your habit: done for today.", pactwire.PushCheckin, unreadable},
	} {
		title, text := words(c.locale, pactwire.PushJob{Kind: c.kind, Event: []byte(c.event)})
		if title != c.title || text != c.text {
			t.Errorf("%s %s: %q, %q", c.locale, c.kind, title, text)
		}
	}
}

func TestEveryLanguageHasAllItsWords(t *testing.T) {
	for lang, p := range languages {
		for v, i := reflect.ValueOf(p), 0; i < v.NumField(); i++ {
			if v.Field(i).String() == "" {
				t.Errorf("%s has no %s", lang, v.Type().Field(i).Name)
			}
		}
	}
}

func TestASummaryNamesTheBestFirst(t *testing.T) {
	job := func(k pactwire.PushKind, name string) pactwire.PushJob {
		return pactwire.PushJob{Kind: k, Event: []byte(`{"userName":"` + name + `","data":{"message":"hey","habitName":"Yoga","streakDays":7}}`)}
	}
	jobs := []pactwire.PushJob{job(pactwire.PushMessage, "Ana"), job(pactwire.PushCheckin, "Bo"), job(pactwire.PushCelebration, "Cy"), job(pactwire.PushCheckin, "Di")}
	title, text := summarize("en", jobs)
	if title != "4 pieces of news from your pacts" || text != "Cy cheers for you · Bo checked in · Di checked in · and more" {
		t.Errorf("%q, %q", title, text)
	}
	if _, text := summarize("fr", jobs[:2]); text != "Bo l'a fait aujourd'hui · Ana: hey" {
		t.Errorf("%q", text)
	}
}

func TestNoWordsAreTooLong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, most := rapid.String().Draw(t, "text"), rapid.IntRange(1, 50).Draw(t, "most")
		got := shorten(s, most)
		n := utf8.RuneCountInString(got)
		switch {
		case n > most:
			t.Fatalf("%d characters of at most %d", n, most)
		case utf8.RuneCountInString(s) <= most && got != s:
			t.Fatalf("%q became %q", s, got)
		case got != s && !strings.HasSuffix(got, "…"):
			t.Fatalf("%q is cut without a sign", got)
		}
	})
}

func TestOnlySomeTypesMatter(t *testing.T) {
	for payload, want := range map[string]bool{
		`{"id":"1","pactId":"p","seq":3,"type":"checkin_completed","userId":"a"}`:                          true,
		`{"id":"1","seq":3,"type":"SERVER:PACT_INVITATION","data":{}}`:                                     true,
		`{"id":"1","pactId":"p","seq":3,"type":"partner_joined","data":{"x":"\"type\":\"message_sent\""}}`: false,
		`{"id":"1","seq":3,"type":"SERVER:CHECKIN_LOGGED","data":{"type":"checkin_completed"}}`:            false,
		`{"type":"`: false,
		``:          false,
	} {
		if got := Matters(pactwire.Entry{Payload: []byte(payload)}); got != want {
			t.Errorf("%s: %v", payload, got)
		}
	}
}

// FuzzWords feeds entries of any shape: whatever they say, there is a title within bounds, in valid UTF-8.
func FuzzWords(f *testing.F) {
	f.Add("en", "checkin", []byte(`{"type":"checkin_completed","userName":"Ana","data":{"habitName":"Yoga"}}`))
	f.Add("fr", "milestone", []byte(`{"type":"SERVER:STREAK_MILESTONE","data":{"streakDays":-1}}`))
	f.Add("", "message", []byte(`{"userName":"\ud800","data":{"message":"{habit}"}}`))
	f.Add("es_", "celebration", []byte(`[]`))
	f.Fuzz(func(t *testing.T, locale, kind string, event []byte) {
		j := pactwire.PushJob{Kind: pactwire.PushKind(kind), Event: event}
		title, text := words(locale, j)
		Matters(pactwire.Entry{Payload: event})
		sumTitle, sumText := summarize(locale, []pactwire.PushJob{j, j, j, j, j})
		for _, s := range []string{title, text, sumTitle, sumText} {
			if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxText {
				t.Fatalf("%q", s)
			}
		}
	})
}
