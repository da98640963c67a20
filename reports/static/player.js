// Plays one clip: all sounds run together on one audio clock, one of them is heard, and the picture follows the clock.
"use strict";
window.clapstick.makePlayer = (video, onTick) => {
  const FADE_S = 0.005;
  const LEAD_S = 0.06;
  const SEEK_BEYOND_S = 0.25;
  const HOLD_WITHIN_S = 0.004;

  let context = null;
  let output = null;
  let buffers = new Map();
  let running = new Map();
  let selected = null;
  let duration = 0;
  let playing = false;
  let offset = 0;
  let startedAt = 0;
  let loop = true;
  let hasVideo = false;
  let generation = 0;
  let lastTick = 0;
  let videoTimer = 0;

  // Seconds on the audio clock that are being heard at a moment of performance.now().
  function heardAt(now) {
    const stamp = context.getOutputTimestamp ? context.getOutputTimestamp() : null;
    if (stamp && stamp.performanceTime > 0 && stamp.contextTime > 0) {
      return stamp.contextTime + (now - stamp.performanceTime) / 1000;
    }
    return context.currentTime - (context.outputLatency || context.baseLatency || 0);
  }

  function positionAt(now) {
    if (!playing) return offset;
    const elapsed = Math.max(0, heardAt(now) - startedAt);
    const position = offset + elapsed;
    if (position < duration) return position;
    return loop ? position % duration : duration;
  }

  const position = () => positionAt(performance.now());

  async function decode(bytes, seconds) {
    const offline = new OfflineAudioContext(1, 1, 48000);
    const decoded = await offline.decodeAudioData(bytes);
    const length = Math.max(1, Math.round(seconds * decoded.sampleRate));
    if (decoded.length === length) return decoded;
    const exact = new AudioBuffer({ numberOfChannels: decoded.numberOfChannels, length, sampleRate: decoded.sampleRate });
    for (let channel = 0; channel < decoded.numberOfChannels; channel += 1) {
      exact.copyToChannel(decoded.getChannelData(channel).subarray(0, length), channel);
    }
    return exact;
  }

  function open(source, seconds) {
    stop();
    generation += 1;
    buffers = new Map();
    duration = seconds;
    offset = 0;
    hasVideo = Boolean(source);
    if (hasVideo) {
      video.src = source;
      video.currentTime = 0;
    } else {
      video.removeAttribute("src");
      video.load();
    }
    onTick(0, duration);
    return generation;
  }

  // Adds a sound of the clip that `open` returned the number of; it joins at once where the clip is playing.
  async function add(name, bytes, ofGeneration) {
    const buffer = await decode(bytes, duration);
    if (ofGeneration !== generation) return;
    buffers.set(name, buffer);
    if (playing) joinLate(name);
  }

  function joinLate(name) {
    const when = Math.max(context.currentTime + 0.02, startedAt);
    startOne(name, when, (offset + when - startedAt) % duration);
  }

  function startOne(name, when, from) {
    const source = new AudioBufferSourceNode(context, { buffer: buffers.get(name), loop, loopEnd: duration });
    const gain = new GainNode(context, { gain: name === selected ? 1 : 0 });
    source.connect(gain).connect(output);
    source.start(when, from);
    running.set(name, { source, gain });
  }

  function stopSources() {
    for (const { source, gain } of running.values()) {
      source.stop();
      source.disconnect();
      gain.disconnect();
    }
    running = new Map();
  }

  async function play() {
    if (playing || !duration) return;
    if (!context) {
      context = new AudioContext({ latencyHint: "interactive" });
      output = new GainNode(context);
      output.connect(context.destination);
    }
    if (context.state !== "running") await context.resume();
    if (offset >= duration - 1e-3) offset = 0;
    playing = true;
    start();
    requestAnimationFrame(tick);
  }

  // Sound starts a moment ahead on the audio clock; the picture starts when that moment is heard.
  function start() {
    startedAt = context.currentTime + LEAD_S;
    lastTick = offset;
    for (const name of buffers.keys()) startOne(name, startedAt, offset);
    if (!hasVideo) return;
    video.pause();
    video.currentTime = offset;
    clearTimeout(videoTimer);
    const wait_s = startedAt - heardAt(performance.now());
    videoTimer = setTimeout(playVideo, Math.max(0, wait_s * 1000));
  }

  function playVideo() {
    // A play that a pause overtakes is rejected; the pause is what counts then.
    if (playing) video.play().catch(() => undefined);
  }

  function stop() {
    if (playing) offset = Math.min(position(), duration);
    playing = false;
    stopSources();
    clearTimeout(videoTimer);
    if (hasVideo) {
      video.pause();
      video.playbackRate = 1;
    }
  }

  function pause() {
    stop();
    if (hasVideo) video.currentTime = offset;
    onTick(offset, duration);
  }

  function seek(to) {
    offset = Math.min(Math.max(to, 0), duration);
    if (playing) {
      stopSources();
      start();
    } else if (hasVideo) {
      video.currentTime = offset;
    }
    onTick(offset, duration);
  }

  function select(name) {
    selected = name;
    if (!context) return;
    const now = context.currentTime;
    for (const [other, { gain }] of running) {
      gain.gain.cancelScheduledValues(now);
      gain.gain.setValueAtTime(gain.gain.value, now);
      gain.gain.linearRampToValueAtTime(other === selected ? 1 : 0, now + FADE_S);
    }
  }

  function setLoop(value) {
    loop = value;
    for (const { source } of running.values()) source.loop = value;
  }

  function tick() {
    if (!playing) return;
    const at = position();
    if (!loop && at >= duration) {
      pause();
      return;
    }
    if (at < lastTick && hasVideo) {
      video.currentTime = at;
      playVideo();
    }
    lastTick = at;
    onTick(at, duration);
    requestAnimationFrame(tick);
  }

  // Keeps the picture on the sound: small differences by a slightly other speed, large ones by a jump.
  function follow(now, frame) {
    if (playing) {
      const shown = frame.expectedDisplayTime || now;
      let late = positionAt(shown) - frame.mediaTime;
      if (late > duration / 2) late -= duration;
      if (late < -duration / 2) late += duration;
      if (Math.abs(late) > SEEK_BEYOND_S) {
        video.currentTime = positionAt(performance.now());
        video.playbackRate = 1;
      } else if (Math.abs(late) < HOLD_WITHIN_S) {
        video.playbackRate = 1;
      } else {
        video.playbackRate = Math.min(Math.max(1 + late * 4, 0.5), 2);
      }
    }
    video.requestVideoFrameCallback(follow);
  }
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(follow);

  return {
    open,
    add,
    play,
    pause,
    seek,
    select,
    setLoop,
    position,
    get playing() {
      return playing;
    },
    get duration() {
      return duration;
    },
    get selected() {
      return selected;
    },
    get audio() {
      return { context, output };
    },
  };
};
