/// The names of Python 2 that Python 3 imports under other names, in pickles of protocol 0 to 2
/// (`_compat_pickle` of Python 3.11; `fix_imports` is the default of every loader).
enum Python2Names {
  /// The name that Python 3 imports; the same name if it was not renamed.
  static func translated(_ module: String, _ name: String) -> (module: String, name: String) {
    if let new = names[module + " " + name] {
      let parts = new.split(separator: " ").map(String.init)
      return (parts[0], parts[1])
    }
    if module == "exceptions" { return ("builtins", name) }
    return (modules[module] ?? module, name)
  }

  /// The first parts of the modules' names.
  static var packages: Set<String> {
    Set((Array(modules.keys) + names.keys).map { String($0.prefix { $0 != "." && $0 != " " }) })
  }

  private static let modules: [String: String] = [
    "BaseHTTPServer": "http.server", "CGIHTTPServer": "http.server",
    "ConfigParser": "configparser", "Cookie": "http.cookies", "Dialog": "tkinter.dialog",
    "DocXMLRPCServer": "xmlrpc.server", "FileDialog": "tkinter.filedialog",
    "HTMLParser": "html.parser", "Queue": "queue", "ScrolledText": "tkinter.scrolledtext",
    "SimpleDialog": "tkinter.simpledialog", "SimpleHTTPServer": "http.server",
    "SimpleXMLRPCServer": "xmlrpc.server", "SocketServer": "socketserver", "StringIO": "io",
    "Tix": "tkinter.tix", "Tkconstants": "tkinter.constants", "Tkdnd": "tkinter.dnd",
    "Tkinter": "tkinter", "UserDict": "collections", "UserList": "collections",
    "UserString": "collections", "__builtin__": "builtins", "_abcoll": "collections.abc",
    "_elementtree": "xml.etree.ElementTree", "_winreg": "winreg", "anydbm": "dbm",
    "cPickle": "pickle", "cStringIO": "io", "commands": "subprocess",
    "cookielib": "http.cookiejar", "copy_reg": "copyreg", "dbhash": "dbm.bsd", "dbm": "dbm.ndbm",
    "dumbdbm": "dbm.dumb", "dummy_thread": "_dummy_thread", "gdbm": "dbm.gnu",
    "htmlentitydefs": "html.entities", "httplib": "http.client", "markupbase": "_markupbase",
    "repr": "reprlib", "robotparser": "urllib.robotparser", "test.test_support": "test.support",
    "thread": "_thread", "tkColorChooser": "tkinter.colorchooser",
    "tkCommonDialog": "tkinter.commondialog", "tkFileDialog": "tkinter.filedialog",
    "tkFont": "tkinter.font", "tkMessageBox": "tkinter.messagebox",
    "tkSimpleDialog": "tkinter.simpledialog", "ttk": "tkinter.ttk", "urllib2": "urllib.request",
    "urlparse": "urllib.parse", "whichdb": "dbm", "xmlrpclib": "xmlrpc.client",
  ]

  private static let names: [String: String] = [
    "UserDict IterableUserDict": "collections UserDict",
    "UserDict UserDict": "collections UserDict", "UserList UserList": "collections UserList",
    "UserString UserString": "collections UserString", "__builtin__ basestring": "builtins str",
    "__builtin__ intern": "sys intern", "__builtin__ long": "builtins int",
    "__builtin__ reduce": "functools reduce", "__builtin__ unichr": "builtins chr",
    "__builtin__ unicode": "builtins str", "__builtin__ xrange": "builtins range",
    "_multiprocessing Connection": "multiprocessing.connection Connection",
    "_socket fromfd": "socket fromfd", "itertools ifilter": "builtins filter",
    "itertools ifilterfalse": "itertools filterfalse", "itertools imap": "builtins map",
    "itertools izip": "builtins zip", "itertools izip_longest": "itertools zip_longest",
    "multiprocessing AuthenticationError": "multiprocessing.context AuthenticationError",
    "multiprocessing BufferTooShort": "multiprocessing.context BufferTooShort",
    "multiprocessing ProcessError": "multiprocessing.context ProcessError",
    "multiprocessing TimeoutError": "multiprocessing.context TimeoutError",
    "multiprocessing.forking Popen": "multiprocessing.popen_fork Popen",
    "multiprocessing.process Process": "multiprocessing.context Process",
    "socket _socketobject": "socket SocketType",
    "urllib ContentTooShortError": "urllib.error ContentTooShortError",
    "urllib getproxies": "urllib.request getproxies",
    "urllib pathname2url": "urllib.request pathname2url", "urllib quote": "urllib.parse quote",
    "urllib quote_plus": "urllib.parse quote_plus", "urllib unquote": "urllib.parse unquote",
    "urllib unquote_plus": "urllib.parse unquote_plus",
    "urllib url2pathname": "urllib.request url2pathname",
    "urllib urlcleanup": "urllib.request urlcleanup",
    "urllib urlencode": "urllib.parse urlencode", "urllib urlopen": "urllib.request urlopen",
    "urllib urlretrieve": "urllib.request urlretrieve",
    "urllib2 HTTPError": "urllib.error HTTPError", "urllib2 URLError": "urllib.error URLError",
    "whichdb whichdb": "dbm whichdb",
  ]
}
