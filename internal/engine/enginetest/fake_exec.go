package enginetest

import (
	"context"
	"fmt"

	"github.com/mlride/mlride/internal/engine"
)

// Exec runs a command of the exam's in a running container.
func (f *Fake) Exec(ctx context.Context, id string, command []string) (result engine.ExecResult, err error) {
	err = f.change(ctx, MethodExec, id, func(b *box) error {
		if b.Status != engine.StatusRunning {
			return fmt.Errorf("%w: it does not run, or is paused", engine.ErrRefused)
		}
		does := parse(command)
		inside := &box{mounts: b.mounts, layer: b.layer} // what it says is not the container's
		for _, d := range does.does {
			result.Code = f.perform(inside, d)
		}
		result.Code = max(result.Code, does.code)
		for _, line := range inside.log {
			result.Output = append(result.Output, line.Text+"\n"...)
		}
		if len(result.Output) > engine.MaxExecOutput {
			result.Output, result.Cut = result.Output[:engine.MaxExecOutput], true
		}
		return nil
	})
	return result, err
}
