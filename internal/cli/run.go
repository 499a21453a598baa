package cli

import (
	"github.com/spf13/cobra"

	"onnxgate/internal/schema"
)

func modelRun(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "run FILE", Args: exactly("FILE"),
		Short: "Predict once from a file: Open Inference Protocol or rows as JSON, a CSV table or a NumPy array",
	}
	chosen := addEngine(cmd, schema.EngineAuto, schema.EngineNative, schema.EngineORT)
	input := addInput(cmd, "(default standard input)")
	answer := addAnswer(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		engine, err := chosen()
		if err != nil {
			return err
		}
		if err := answer.check(); err != nil {
			return err
		}
		program, _, err := p.engines().LoadProgram(args[0], engine)
		if err != nil {
			return err
		}
		request, err := p.readRequest(cmd.Context(), args[0], program, input)
		if err != nil {
			return err
		}
		if err := request.check(cmd.Context()); err != nil {
			return err
		}
		a, err := request.choose(answer)
		if err != nil {
			return err
		}
		outputs := emptyOutputs(program)
		if err := program.Run(cmd.Context(), request.inputs, outputs); err != nil {
			return err
		}
		text, err := a.append(outputs)
		if err != nil {
			return err
		}
		_, err = p.Stdout.Write(text)
		return err
	}
	return cmd
}
