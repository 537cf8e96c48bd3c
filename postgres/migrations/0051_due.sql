-- +goose Up

-- What happens by itself when its time has come, by the habits-service's own key.
CREATE TABLE due (
	key TEXT COLLATE "C" PRIMARY KEY,
	at  BIGINT NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX due_at ON due (at, key);

-- For what was there before: pacts and invitations at their time, streaks at once (0), which only finds out when.
INSERT INTO due (key, at) SELECT 'pact ' || n.name, p.end_date FROM pacts p JOIN names n ON n.id = p.id
	WHERE p.status = 'active' AND p.end_date IS NOT NULL;
INSERT INTO due (key, at) SELECT 'invites ' || n.name, p.created_at + 14 * 86400000::bigint FROM pacts p JOIN names n ON n.id = p.id
	WHERE p.status IN ('pending', 'active');
INSERT INTO due (key, at) SELECT 'streak ' || u.name || ' ' || g.name, 0 FROM streaks s JOIN names u ON u.id = s.usr JOIN names g ON g.id = s.goal;
