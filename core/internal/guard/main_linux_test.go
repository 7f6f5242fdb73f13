package guard

import (
	"os"
	"testing"

	"github.com/filewatch/filewatch/sdk/plugintest/isolate"
)

func TestMain(m *testing.M) { os.Exit(isolate.Main(m)) }
