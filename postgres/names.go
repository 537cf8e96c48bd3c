package postgres

import (
	"context"
	"fmt"

	"github.com/pactwire/pactwire"
)

// name is a text id of one kind. Pacts and users are also streams, under the same number.
type name struct {
	kind pactwire.StreamKind
	text string
}

const goalKind = pactwire.StreamKind(3)

func pactName(p pactwire.PactID) name { return name{pactwire.PactStream, string(p)} }
func userName(u pactwire.UserID) name { return name{pactwire.InboxStream, string(u)} }
func goalName(g pactwire.GoalID) name { return name{goalKind, string(g)} }
func streamName(s pactwire.Stream) name {
	return name{s.Kind, s.ID}
}

// maxNames bounds what the committer remembers. When it is reached, everything is forgotten before the next transaction, and read again as
// needed.
const maxNames = 200_000

// resolve finds the numbers of names, adding those that are marked true, in transactions of its own: a name that is there
// and not used does no harm, so nobody waits for the outcome of anybody's transaction.
func (d *DB) resolve(ctx context.Context, names map[name]bool) error {
	var kinds, newKinds []int16
	var texts, newTexts []string
	for n, add := range names {
		if d.ids[n] != 0 {
			continue
		}
		kinds, texts = append(kinds, int16(n.kind)), append(texts, n.text)
		if add {
			newKinds, newTexts = append(newKinds, int16(n.kind)), append(newTexts, n.text)
		}
	}
	if len(kinds) == 0 {
		return nil
	}
	if len(newKinds) > 0 {
		if err := d.intern(ctx, newKinds, newTexts); err != nil {
			return err
		}
	}
	rows, err := d.pool.Query(ctx, `SELECT n.kind, n.name, n.id FROM unnest($1::smallint[], $2::text[]) AS w (kind, name)
		JOIN names n ON n.kind = w.kind AND n.name = w.name`, kinds, texts)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var kind int16
		var text string
		var id int64
		if err := rows.Scan(&kind, &text, &id); err != nil {
			return err
		}
		d.ids[name{pactwire.StreamKind(kind), text}] = id
	}
	return rows.Err()
}

// intern adds the names that are not there, in an order that all nodes keep.
func (d *DB) intern(ctx context.Context, kinds []int16, texts []string) error {
	_, err := d.pool.Exec(ctx, `INSERT INTO names (kind, name)
		SELECT w.kind, w.name FROM unnest($1::smallint[], $2::text[]) AS w (kind, name)
		WHERE NOT EXISTS (SELECT FROM names n WHERE n.kind = w.kind AND n.name = w.name)
		ORDER BY w.kind, w.name COLLATE "C" ON CONFLICT DO NOTHING`, kinds, texts)
	if err != nil {
		return fmt.Errorf("add names: %w", err)
	}
	return nil
}
