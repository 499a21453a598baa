package cli

import (
	"fmt"
	"io"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"onnxgate/internal/accounts"
	"onnxgate/internal/config"
	"onnxgate/internal/config/agefile"
	"onnxgate/internal/regular"
)

// The files that the commands take when none is named.
const (
	envFile       = ".env"
	sealedSuffix  = ".age"
	sealedEnvFile = envFile + sealedSuffix
)

// identitySetting names the file with what opens a sealed one.
const identitySetting = "ONNXGATE_ENV_IDENTITY_FILE"

func configEncrypt(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "encrypt [FILE]", Short: "Encrypt a settings file so that it can be committed",
		Long: "Encrypt FILE (default .env) as FILE.age, replacing an existing one. The server reads it like FILE.\n" +
			"Without a recipient or passphrase, it is encrypted for the identities in " + identitySetting + ".",
		Args: atMost("FILE"),
	}
	keys := cmd.Flags().StringSlice("recipient", nil, "public `KEY` (age1…) that can decrypt it; may be repeated or comma-separated")
	stdin := cmd.Flags().Bool("passphrase-stdin", false, "encrypt with a passphrase from standard input; one trailing newline is ignored")
	armored := cmd.Flags().Bool("armor", false, "write text (PEM) instead of bytes")
	output := cmd.Flags().String("output", "", "`FILE` to write, - for standard output (default FILE.age)")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if *stdin && len(*keys) > 0 {
			return usagef("write --recipient or --passphrase-stdin, not both")
		}
		name := argument(args, envFile)
		text, err := readEnvText(name)
		if err != nil {
			return err
		}
		to, err := p.recipients(*keys, *stdin)
		if err != nil {
			return err
		}
		sealed, err := agefile.Seal(text, to, *armored)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if *output == "" {
			*output = name + sealedSuffix
		}
		return p.writeSealed(*output, name, sealed)
	}
	return cmd
}

// readEnvText reads settings that a server could read.
func readEnvText(name string) ([]byte, error) {
	text, _, err := regular.ReadFile(name, agefile.MaxText)
	switch {
	case err != nil:
		return nil, err
	case agefile.IsSealed(text):
		return nil, fmt.Errorf("%s is already encrypted; `onnxgate config decrypt %s` shows its contents", name, name)
	}
	return text, config.CheckEnvFile(name, text)
}

func (p *Process) recipients(keys []string, stdin bool) ([]age.Recipient, error) {
	switch {
	case len(keys) > 0:
		return agefile.Recipients(keys)
	case stdin:
		passphrase, err := p.readPassword(true)
		if err != nil {
			return nil, err
		}
		if err := accounts.CheckPassword("", passphrase); err != nil {
			return nil, fmt.Errorf("--passphrase-stdin: a passphrase follows the rules for passwords, and %w", err)
		}
		return agefile.Passphrase(passphrase)
	}
	file, _ := p.Lookup(identitySetting)
	if file == "" {
		return nil, usagef("say who can decrypt it: --recipient age1…, --passphrase-stdin, or the identities in %s", identitySetting)
	}
	secret, err := readIdentity(file)
	if err != nil {
		return nil, err
	}
	to, err := agefile.RecipientsOf(secret)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; write --recipient or --passphrase-stdin", file, err)
	}
	return to, nil
}

// maxIdentity bounds the file of identities.
const maxIdentity = 64 << 10

func readIdentity(file string) ([]byte, error) {
	secret, _, err := regular.ReadFile(file, maxIdentity)
	return secret, err
}

// writeSealed writes the file so that it is whole or not changed.
func (p *Process) writeSealed(output, name string, sealed []byte) error {
	if output == "-" {
		_, err := p.Stdout.Write(sealed)
		return err
	}
	if err := regular.Replace(output, sealed); err != nil {
		return err
	}
	return p.printf("%s is encrypted in %s; remove %[1]s wherever only the encrypted file should be\n", name, output)
}

func configDecrypt(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "decrypt [FILE]", Short: "Print the contents of an encrypted settings file",
		Long: "Decrypt FILE (default .env.age) with the identities or the passphrase in " + identitySetting + "\n" +
			"and print it. Nothing is written to disk.",
		Args: atMost("FILE"),
	}
	identity := cmd.Flags().String("identity", "", "`FILE` with the identities or passphrase, instead of "+identitySetting)
	stdin := cmd.Flags().Bool("passphrase-stdin", false, "decrypt with a passphrase from standard input")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if *stdin && *identity != "" {
			return usagef("write --identity or --passphrase-stdin, not both")
		}
		name := argument(args, sealedEnvFile)
		data, _, err := regular.ReadFile(name, agefile.MaxFile)
		if err != nil {
			return err
		}
		secret, err := p.opener(*identity, *stdin)
		if err != nil {
			return err
		}
		text, err := agefile.Open(data, secret)
		if err != nil {
			return fmt.Errorf("%s cannot be decrypted: %w", name, err)
		}
		_, err = p.Stdout.Write(text)
		return err
	}
	return cmd
}

// opener returns what opens a file.
func (p *Process) opener(identity string, stdin bool) ([]byte, error) {
	if stdin {
		return io.ReadAll(io.LimitReader(p.Stdin, maxPassword))
	}
	if identity == "" {
		identity, _ = p.Lookup(identitySetting)
	}
	if identity == "" {
		return nil, usagef("say what decrypts it: --identity FILE, --passphrase-stdin, or the setting %s", identitySetting)
	}
	return readIdentity(identity)
}

// argument returns the one argument, or what stands for it.
func argument(args []string, otherwise string) string {
	if len(args) > 0 {
		return args[0]
	}
	return otherwise
}

// atMost lets one argument be left out.
func atMost(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return exactly(name)(cmd, args)
	}
}
