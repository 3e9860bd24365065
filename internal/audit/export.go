package audit

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/internal/store"
)

// line is a row as it is exported; the names are those of the API.
type line struct {
	ID         string    `json:"id"`
	At         time.Time `json:"at"`
	ActorID    *string   `json:"actorId"`
	ActorName  string    `json:"actorName"`
	Action     string    `json:"action"`
	Target     *string   `json:"target"`
	TargetName *string   `json:"targetName"`
	Outcome    string    `json:"outcome"`
	IP         *string   `json:"ip"`
	Detail     *string   `json:"detail"`
	RequestID  *string   `json:"requestId"`
}

// Export writes the rows that the viewer sees and the filter chooses to out,
// oldest first, one JSON object on each line. It reads page by page, so that the
// trail may be longer than memory.
func Export(ctx context.Context, client *ent.Client, f Filter, out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	size := store.MaxPage
	for p := (store.Page{First: &size}); ; {
		slice, err := page(ctx, client, f, false, p)
		if err != nil {
			return err
		}
		for _, e := range slice.Items {
			err := encoder.Encode(line{
				ID: e.ID, At: e.At.UTC(), ActorID: e.ActorID, ActorName: e.ActorName, Action: e.Action, Target: e.Target,
				TargetName: e.TargetName, Outcome: string(e.Outcome), IP: e.IP, Detail: e.Detail, RequestID: e.RequestID,
			})
			if err != nil {
				return err
			}
		}
		if !slice.HasNext {
			return nil
		}
		p.After = &slice.Cursors[len(slice.Cursors)-1]
	}
}
