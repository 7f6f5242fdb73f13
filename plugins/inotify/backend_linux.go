package inotify

var defaultBackend backend = watchInotify
