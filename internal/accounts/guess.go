package accounts

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

const (
	// minDistinct is how many different characters a password has at least.
	minDistinct = 5
	// maxUnexplained is how many characters beside common words and sequences
	// leave a password as easy to guess as these.
	maxUnexplained = 1
	// maxTail is how many characters behind a repetition leave it one: "1", "12", "!!".
	maxTail = 3
	// minRun is the length from which a part of a sequence counts as one.
	minRun = 3
)

// commonWords are what passwords are made of most often, and the words of
// this product. A password that is nothing but such words and sequences is
// refused: two of them make more than 10,000 passwords of 15 characters or more,
// and lists of common ones of that length consist of such in the main.
var commonWords = strings.Fields(`
	access account admin administrator adminadmin amanda andrew angel apple april ashley august autumn azerty
	baby bailey banana baseball basketball batman beautiful biscuit blink butter butterfly
	changeme change charlie cheese chelsea chocolate christ christmas computer cookie cowboy
	daniel database december default demo diamond donald dragon
	england enter eagle elephant example
	facebook family february ferrari flower football forever freedom friday friend friends fuck
	george ginger girl god golden google guest gate
	hallo hannah harley heaven hello hockey hunter hottie
	internet iris iloveyou iloveu ilove ihateyou
	jackson january jasmine jennifer jesus jessica jordan joshua july june justin
	killer king kitten
	lakers letmein letme linux liverpool login london lord love lovely loveme lover lucky
	machine madrid maggie manager manchester march marina martin master matrix matthew maverick mercedes
	michael michelle microsoft mike model monday money monkey monster mother mustang my myspace
	naruto nicole ninja nothing november
	october oracle orange onnx onnxgate
	pass passe passwd passwort password passw0rd pa55word p4ssw0rd p4ssword p@ssword p@ssw0rd pepper people phoenix
	please pokemon predict prince princess private purple
	qazwsx qwerty qwertz
	rabbit rainbow ranger robert rocket rockyou root runner
	samsung samantha saturday secret secure security september server service shadow silver snoopy soccer
	spiderman spring starwars start steelers student summer sunday sunshine superman supervisor super support
	sweet sysadmin system
	teacher temp temporary tennis test tester testing thomas thunder tiger tigger token toor trustno1 trustme
	united unknown user username
	vagrant victoria viking
	walter water welcome whatever william winner winter wizard world
	you your yellow yankees
	zaq1zaq1 zxcvbn
	arsenal backstreet barcelona best bieber bob boy boys boyfriend brother celtic celtics christopher club cool
	dad dog everton fan fc forget girlfriend girls happy harry hate her him husband juventus
	kitty life like linkin little man marilyn metallica miss mom monroe much mum music name never
	new newcastle nirvana nobody number one only pants park pooh potter power rangers real robin rock rose
	sexy sister slipknot so spongebob sponge square star team winnie with
	birthday cf 4ever 4u
	the and for this is a i me to of`)

// knownPhrases are passphrases that everybody has read of, by their words
// without what separates them. A password that is one of them, or one with
// common words around it, is as easy to guess as those.
var knownPhrases = []string{
	"allyourbasearebelongtous", "correcthorsebatterystaple", "fourscoreandsevenyearsago",
	"helloworldhelloworld", "howmuchwoodwouldawoodchuckchuck", "inthebeginningwastheword", "itwasthebestoftimes",
	"ivegotabadfeelingaboutthis", "jumpedoverthelazydog", "jumpsoverthelazydog", "loremipsumdolorsitamet",
	"maryhadalittlelamb", "maytheforcebewithyou", "onceuponatime", "openthepodbaydoorshal", "quickbrownfox",
	"theanswertolifetheuniverseandeverything", "thequickbrownfox", "thisismypassword", "tobeornottobethatisthequestion",
	"tobeornottobe", "twinkletwinklelittlestar", "winteriscoming", "youshallnotpass",
}

// separators stand between the words of a phrase and hide none of them.
const separators = " -_.,'"

// sequences are the runs that fingers and counting make. They count forwards
// and backwards, in parts of minRun or more.
var sequences = withReversed(
	"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
	"01234567890123456789",
	"qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "!@#$%^&*()_+",
	"qwertzuiop", "yxcvbnm,.-", "azertyuiop", "qsdfghjklm", "wxcvbn",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
	"qazwsxedcrfvtgbyhnujmikolp",
	"1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "1a2b3c4d5e6f7g8h9i0j", "a1b2c3d4e5f6g7h8i9j0",
	"102030405060708090", "112233445566778899", "aabbccddeeffgghhiijj",
	"147258369147258369", "147852369147852369", "741852963741852963", "789456123789456123", "159753159753159753",
)

func withReversed(all ...string) [][]rune {
	var out [][]rune
	for _, s := range all {
		forward := []rune(s)
		backward := slices.Clone(forward)
		slices.Reverse(backward)
		out = append(out, forward, backward)
	}
	return out
}

// guessable reports whether the password is repetitive, or consists of common
// words, known phrases, the user's name, years and sequences alone, with or
// without separators between them.
func guessable(name, password string) bool {
	text := []rune(strings.ToLower(norm.NFKC.String(password)))
	distinct := map[rune]bool{}
	for _, r := range text {
		distinct[r] = true
	}
	joined := slices.DeleteFunc(slices.Clone(text), func(r rune) bool { return strings.ContainsRune(separators, r) })
	return len(distinct) < minDistinct || repetitive(text) ||
		min(unexplained(name, text), unexplained(name, joined)) <= maxUnexplained
}

// repetitive reports whether the text is one part, shorter than a password may
// be, again and again, with maxTail characters behind it at most.
func repetitive(text []rune) bool {
	for tail := range min(maxTail, len(text)) + 1 {
		whole := text[:len(text)-tail]
		for period := 1; period < minPasswordRunes && 2*period <= len(whole); period++ {
			if slices.Equal(whole[period:], whole[:len(whole)-period]) {
				return true
			}
		}
	}
	return false
}

// unexplained returns how many characters are left when the text is cut into
// known parts in the best way.
func unexplained(name string, text []rune) int {
	words := make([][]rune, 0, len(commonWords)+len(knownPhrases)+1)
	for _, w := range slices.Concat(commonWords, knownPhrases) {
		words = append(words, []rune(w))
	}
	if len(name) >= minRun {
		words = append(words, []rune(name))
	}
	// left[i] is the least number of unexplained characters among the first i.
	left := make([]int, len(text)+1)
	for i := range left {
		left[i] = i
	}
	for i := range text {
		left[i+1] = min(left[i+1], left[i]+1)
		for _, w := range words {
			if len(w) <= len(text)-i && slices.Equal(text[i:i+len(w)], w) {
				left[i+len(w)] = min(left[i+len(w)], left[i])
			}
		}
		// Found once for each place: NFKC makes runs of 1000 characters of a password.
		for n, longest := minRun, longestRun(text[i:]); n <= longest; n++ {
			left[i+n] = min(left[i+n], left[i])
		}
	}
	return left[len(text)]
}

// longestRun returns how long the sequence at the beginning of the text is: of
// one character, of a known sequence, or of a year.
func longestRun(text []rune) int {
	longest := 1
	for longest < len(text) && text[longest] == text[0] {
		longest++
	}
	for _, seq := range sequences {
		for start := range seq {
			longest = max(longest, commonPrefix(text, seq[start:]))
		}
	}
	if longest < 4 && isYear(text) {
		longest = 4
	}
	return longest
}

func commonPrefix(a, b []rune) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// isYear reports whether the text begins with a year from 1800 to 2099.
func isYear(text []rune) bool {
	if len(text) < 4 {
		return false
	}
	century := string(text[:2])
	digit := func(r rune) bool { return r >= '0' && r <= '9' }
	return (century == "18" || century == "19" || century == "20") && digit(text[2]) && digit(text[3])
}
