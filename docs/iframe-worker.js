// Browsers start no worker on a page that is opened as a file. The search of the theme is one that
// gets messages and posts them: here its program runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const { contentWindow, contentDocument } = this.frame;
      contentWindow.postMessage = (data) => this.onmessage?.({ data: structuredClone(data) });
      const program = contentDocument.createElement("script");
      program.src = url;
      this.ready = new Promise((resolve) => program.addEventListener("load", resolve));
      contentDocument.body.append(program);
    }

    postMessage(data) {
      const message = { data: structuredClone(data) }; // as a worker gets it, not the page's own
      this.ready.then(() => this.frame.contentWindow?.onmessage(message));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
