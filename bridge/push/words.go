package push

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pactwire/pactwire"
)

// Longest title and text, in characters; what is longer ends in an ellipsis.
const (
	maxTitle = 80
	maxText  = 240
)

// story is what the words need of an Activity or an Event.
type story struct {
	Type     string          `json:"type"`
	PactID   pactwire.PactID `json:"pactId"`
	UserID   pactwire.UserID `json:"userId"`
	UserName string          `json:"userName"`
	Data     struct {
		PactID       pactwire.PactID        `json:"pactId"`
		HabitName    string                 `json:"habitName"`
		StreakDays   int                    `json:"streakDays"`
		Message      utterance              `json:"message"`
		Emoji        string                 `json:"emoji"`
		FromUserName string                 `json:"fromUserName"`
		StreakUpdate *pactwire.StreakUpdate `json:"streakUpdate"`
		Pact         struct {
			ID        pactwire.PactID `json:"id"`
			HabitName string          `json:"habitName"`
		} `json:"pact"`
		Celebration struct {
			PactID pactwire.PactID `json:"pactId"`
		} `json:"celebration"`
		Encouragement struct {
			PactID  pactwire.PactID `json:"pactId"`
			Emoji   string          `json:"emoji"`
			Message string          `json:"message"`
		} `json:"encouragement"`
	} `json:"data"`
}

// utterance is what somebody wrote: the words alone, or a direct message.
type utterance struct {
	Text         string `json:"text"`
	FromUserName string `json:"fromUserName"`
}

// UnmarshalJSON reads either.
func (m *utterance) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &m.Text) == nil {
		return nil
	}
	type plain utterance
	return json.Unmarshal(b, (*plain)(m))
}

// told reads the payload of an entry. What cannot be read stays empty, and the words do without it.
func told(payload []byte) (s story) {
	_ = json.Unmarshal(payload, &s)
	return s
}

func (s story) pact() pactwire.PactID {
	return cmp.Or(s.PactID, s.Data.PactID, s.Data.Pact.ID, s.Data.Celebration.PactID, s.Data.Encouragement.PactID)
}

// phrases are one language's words. {name} {habit} {days} {count} stand for what they say.
type phrases struct {
	someone, aHabit                  string // for what is not known
	celebration, celebrationText     string
	encouragement, encouragementText string
	checkin, checkinText, checkinDay string
	milestone, milestoneText         string
	ownMilestone, ownMilestoneText   string
	messageText                      string
	invitation, invitationText       string
	summary, summaryMore             string
}

// languages by the first part of a locale; others read English. They cheer and never blame.
var languages = map[string]phrases{
	"en": {
		someone: "Your partner", aHabit: "your habit",
		celebration: "{name} cheers for you", celebrationText: "{name} celebrated your check-in.",
		encouragement: "{name} believes in you", encouragementText: "{name} sent you some encouragement.",
		checkin: "{name} checked in", checkinText: "{habit}: done for today.", checkinDay: "{habit}: day {days}.",
		milestone: "{name} reached {days} days", milestoneText: "{days} days of {habit}. A good moment to cheer!",
		ownMilestone: "{days} days!", ownMilestoneText: "{days} days of {habit}. Be proud of it!",
		messageText: "sent you a message",
		invitation:  "{name} invites you to a pact", invitationText: "{habit}, together?",
		summary: "{count} pieces of news from your pacts", summaryMore: "and more",
	},
	"es": {
		someone: "Alguien de tu pacto", aHabit: "tu hábito",
		celebration: "{name} te felicita", celebrationText: "{name} ha celebrado tu registro.",
		encouragement: "{name} cree en ti", encouragementText: "{name} te manda ánimos.",
		checkin: "{name} ha cumplido hoy", checkinText: "{habit}: hecho por hoy.", checkinDay: "{habit}: día {days}.",
		milestone: "{name} ha llegado a {days} días", milestoneText: "{days} días de {habit}. ¡Buen momento para felicitar!",
		ownMilestone: "¡{days} días!", ownMilestoneText: "{days} días de {habit}. ¡Enhorabuena!",
		messageText: "te ha enviado un mensaje",
		invitation:  "{name} te invita a un pacto", invitationText: "{habit}, ¿juntos?",
		summary: "{count} novedades de tus pactos", summaryMore: "y más",
	},
	"fr": {
		someone: "Quelqu'un de ton pacte", aHabit: "ton habitude",
		celebration: "{name} te félicite", celebrationText: "{name} a fêté ta journée réussie.",
		encouragement: "{name} croit en toi", encouragementText: "{name} t'envoie des encouragements.",
		checkin: "{name} l'a fait aujourd'hui", checkinText: "{habit} : c'est fait pour aujourd'hui.", checkinDay: "{habit} : jour {days}.",
		milestone: "{name} en est à {days} jours", milestoneText: "{days} jours de {habit}. C'est le moment de féliciter !",
		ownMilestone: "{days} jours !", ownMilestoneText: "{days} jours de {habit}. Bravo !",
		messageText: "t'a envoyé un message",
		invitation:  "{name} t'invite dans un pacte", invitationText: "{habit}, ensemble ?",
		summary: "{count} nouvelles de tes pactes", summaryMore: "et plus",
	},
}

func phrasesFor(locale string) phrases {
	lang, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(locale), "_", "-"), "-")
	if p, ok := languages[lang]; ok {
		return p
	}
	return languages["en"]
}

// words say one job in a person's language.
func words(locale string, j pactwire.PushJob) (title, text string) {
	p, s := phrasesFor(locale), told(j.Event)
	d := &s.Data
	days := d.StreakDays
	if days == 0 && d.StreakUpdate != nil {
		days = d.StreakUpdate.After
	}
	say := strings.NewReplacer(
		"{name}", cmp.Or(s.UserName, d.FromUserName, d.Message.FromUserName, p.someone),
		"{habit}", cmp.Or(d.HabitName, d.Pact.HabitName, p.aHabit),
		"{days}", strconv.Itoa(days),
	).Replace
	message := cmp.Or(d.Message.Text, d.Encouragement.Message)
	switch j.Kind {
	case pactwire.PushCelebration:
		title, text = p.celebration, cmp.Or(message, say(p.celebrationText))
	case pactwire.PushEncouragement:
		emoji := cmp.Or(d.Emoji, d.Encouragement.Emoji)
		title, text = p.encouragement, cmp.Or(strings.TrimSpace(emoji+" "+message), say(p.encouragementText))
	case pactwire.PushCheckin:
		title, text = p.checkin, say(p.checkinText)
		if days > 1 {
			text = say(p.checkinDay)
		}
	case pactwire.PushMilestone:
		title, text = p.milestone, say(p.milestoneText)
		if s.Type == string(pactwire.EventStreakMilestone) {
			title, text = p.ownMilestone, say(p.ownMilestoneText)
		}
	case pactwire.PushMessage:
		title, text = "{name}", cmp.Or(message, p.messageText)
	case pactwire.PushInvitation:
		title, text = p.invitation, say(p.invitationText)
	}
	return shorten(say(title), maxTitle), shorten(text, maxText)
}

// summaryTitles are how many things a summary names.
const summaryTitles = 3

// summarize says several jobs at once. What is said first is what is worth most: the order of PushKinds.
func summarize(locale string, jobs []pactwire.PushJob) (title, text string) {
	p := phrasesFor(locale)
	title = strings.ReplaceAll(p.summary, "{count}", strconv.Itoa(len(jobs)))
	var parts []string
	for _, kind := range pactwire.PushKinds() {
		for _, j := range jobs {
			if j.Kind != kind {
				continue
			}
			if len(parts) == summaryTitles {
				return title, shorten(strings.Join(append(parts, p.summaryMore), " · "), maxText)
			}
			one, said := words(locale, j)
			if kind == pactwire.PushMessage {
				one += ": " + said // a name alone says little
			}
			parts = append(parts, shorten(one, maxTitle))
		}
	}
	return title, shorten(strings.Join(parts, " · "), maxText)
}

// shorten cuts a text to a number of characters.
func shorten(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	runes := []rune(s)
	return strings.TrimSpace(string(runes[:most-1])) + "…"
}
