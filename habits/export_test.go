package habits

import "context"

// Look keeps what is due now, as the scheduler does by itself from time to time.
func (s *Scheduler) Look(ctx context.Context) error {
	_, err := s.look(ctx)
	return err
}
