package main

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pactwire/pactwire"
	"github.com/pactwire/pactwire/bridge"
	"github.com/pactwire/pactwire/bridge/push"
	"github.com/pactwire/pactwire/bridge/push/apns"
	"github.com/pactwire/pactwire/bridge/push/fcm"
	"github.com/pactwire/pactwire/bridge/push/webhook"
	"github.com/pactwire/pactwire/bridge/push/webpush"
	"github.com/pactwire/pactwire/internal/config"
)

// newPusher makes the pusher with the channels that are configured; nil when none is.
func newPusher(cfg config.Push, store push.Store, log *slog.Logger, reg prometheus.Registerer) (*push.Pusher, error) {
	channels, err := pushChannels(cfg)
	if err != nil || len(channels) == 0 {
		return nil, err
	}
	return push.New(push.Config{DailyCap: cfg.DailyCap}, store, channels, log, reg), nil
}

func pushChannels(cfg config.Push) (list []push.Channel, err error) {
	add := func(on bool, open func() (push.Channel, error)) {
		if !on || err != nil {
			return
		}
		var c push.Channel
		if c, err = open(); err == nil {
			list = append(list, c)
		}
	}
	add(cfg.Webhook.URL != "", func() (push.Channel, error) {
		return webhook.New(string(cfg.Webhook.URL), string(cfg.Webhook.Secret))
	})
	add(cfg.FCM.CredentialsFile != "", func() (push.Channel, error) {
		return fcm.New(fcm.Config{CredentialsFile: cfg.FCM.CredentialsFile, URL: cfg.FCM.URL})
	})
	add(cfg.APNs.KeyFile != "", func() (push.Channel, error) {
		a := cfg.APNs
		return apns.New(apns.Config{KeyFile: a.KeyFile, KeyID: a.KeyID, TeamID: a.TeamID, Topic: a.Topic, URL: a.URL})
	})
	add(cfg.WebPush.PrivateKey != "", func() (push.Channel, error) {
		w := cfg.WebPush
		return webpush.New(webpush.Config{PublicKey: w.PublicKey, PrivateKey: string(w.PrivateKey), Subject: w.Subject, AllowPrivate: w.AllowPrivate})
	})
	return list, err
}

// pushRules write jobs in the bridge's transactions.
type pushRules struct{ push.Rules }

func (r pushRules) Activity(tx bridge.Tx, a *pactwire.Activity, e pactwire.Entry, cause string, members []pactwire.UserID) error {
	return r.Rules.Activity(tx.(push.JobTx), a, e, cause, members)
}

func (r pushRules) Event(tx bridge.Tx, u pactwire.UserID, ev *pactwire.Event, e pactwire.Entry, cause string, by pactwire.UserID) error {
	return r.Rules.Event(tx.(push.JobTx), u, ev, e, cause, by)
}

func (r pushRules) Over(tx bridge.Tx, u pactwire.UserID, p pactwire.PactID) error {
	return r.Rules.Over(tx.(push.JobTx), u, p)
}

// witness tells the pusher what people have seen.
type witness struct{ *push.Pusher }

func (witness) Matters(e pactwire.Entry) bool { return push.Matters(e) }
