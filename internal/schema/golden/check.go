package golden

import (
	"context"
	"fmt"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
)

// maxTold bounds how many differences one model is told.
const maxTold = 10

// Check holds a program to the rows of a file: JSON when its name ends in .json,
// else CSV. What is wrong with the file, or with the program's answers, is a
// fault.Content with a line for each; other faults are those of Program.Run.
func Check(ctx context.Context, file string, data []byte, contract *schema.Schema, program Program) error {
	read := ReadCSV
	if strings.HasSuffix(file, ".json") {
		read = ReadJSON
	}
	rows, err := read(ctx, data, contract, nil)
	if err != nil {
		return fault.Newf(fault.Content, "%s: %v", file, schema.InOneLine(err))
	}
	differences, err := rows.Compare(ctx, program)
	switch {
	case err != nil && fault.KindOf(err) != fault.Internal:
		return fmt.Errorf("%s: %w", file, err)
	case err != nil:
		return fault.Newf(fault.Content, "%s: %v", file, err)
	case len(differences) == 0:
		return nil
	}
	told := differences[:min(len(differences), maxTold)]
	for i := range told {
		told[i] = file + ": " + told[i]
	}
	return fault.Newf(fault.Content, "%s\n%s: %d of %d rows differ; they are counted from 0", strings.Join(told, "\n"), file, len(differences), rows.Len())
}
