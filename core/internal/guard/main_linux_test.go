package guard

import (
	"os"
	"testing"

	"github.com/filewatch/filewatch/core/internal/guard/mountns"
)

func TestMain(m *testing.M) { os.Exit(mountns.Run(m)) }
