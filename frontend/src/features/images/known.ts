// What comes with the program is described in English by the server; here is the same for those who read Chinese. What
// an operator has put in its place is shown in their own words.
type Told = { title?: string; description: string };

const entries: Record<string, Told> = {
  'python:3.12-slim': { description: '小型 Debian 上的 Python，带 pip。适合入门，需要什么就用 pip 安装。' },
  'python:3.11-slim': { description: '同上，适合尚不支持 3.12 的库。' },
  'quay.io/jupyter/minimal-notebook:latest': { description: 'JupyterLab，带 Python 和 conda，约 1.5 GB。' },
  'quay.io/jupyter/scipy-notebook:latest': {
    title: 'Jupyter 数据科学',
    description: 'JupyterLab，带 pandas、matplotlib 和 scikit-learn。较大：约 4 GB。',
  },
  'pytorch/pytorch:latest': { description: 'PyTorch，带 CUDA 库；没有 GPU 也能用。非常大：约 8 GB。' },
  'tensorflow/tensorflow:latest': { description: 'CPU 版 TensorFlow。较大：约 2 GB。' },
  'ubuntu:24.04': { description: '纯净的 Ubuntu，带 shell。' },
  'debian:12-slim': { description: '纯净的 Debian，带 shell。' },
  'node:22-slim': { description: '小型 Debian 上的 Node.js 和 npm。' },
  'golang:1': { description: 'Debian 上的 Go 工具链，带 git 和 C 编译器。较大：约 1 GB。' },
};

const chinese = (language: string) => language.startsWith('zh');

/** The words of a catalogue entry in the language of the page. */
export function entryIn<T extends { name: string; reference: string; description: string }>(entry: T, language: string): T {
  const known = chinese(language) ? entries[entry.reference] : undefined;
  return known ? { ...entry, name: known.title ?? entry.name, description: known.description } : entry;
}

const bases: Record<string, Told> = {
  'python-slim': {
    title: 'Python 3.12（slim）',
    description: 'Debian 上的 Python 和 pip，不含编译器。适合有现成安装包的软件包，多数都有。',
  },
  'python-full': {
    title: 'Python 3.12（含编译器）',
    description: '同上，另带编译器和开发头文件。适合需要编译的 Python 包，也适合用 C 或 C++ 开发。',
  },
  debian: {
    title: 'Debian 12',
    description: '小型系统，只有 apt-get。适合不用 Python 的程序；安装 Python 包时会带上 Debian 的 Python。',
  },
  cuda: {
    title: 'CUDA 12.4（Ubuntu 22.04）',
    description: 'NVIDIA 的库和编译器，适合直接通过 CUDA 使用 GPU 的程序。体积大；PyTorch 和 TensorFlow 预设不需要它。',
  },
};

const presets: Record<string, Told> = {
  jupyter: { title: 'JupyterLab', description: '浏览器中的笔记本：在容器页面点“打开 Jupyter”即可。' },
  'scikit-learn': {
    title: 'scikit-learn 机器学习',
    description: 'JupyterLab，带 NumPy、pandas、SciPy、scikit-learn 和 Matplotlib。',
  },
  pytorch: { title: 'PyTorch', description: 'JupyterLab，带 PyTorch、torchvision 和所需的 CUDA 组件。较大：要下载数 GB。' },
  tensorflow: { title: 'TensorFlow', description: 'JupyterLab，带 TensorFlow 和所需的 CUDA 组件。较大：要下载数 GB。' },
};

type Choice = { name: string; title: string; description: string };
const choiceIn = <T extends Choice>(choice: T, told: Record<string, Told>, language: string): T => {
  const known = chinese(language) ? told[choice.name] : undefined;
  return known ? { ...choice, title: known.title ?? choice.title, description: known.description } : choice;
};
/** The words of a base in the language of the page. */
export const baseIn = <T extends Choice>(base: T, language: string): T => choiceIn(base, bases, language);
/** The words of a preset in the language of the page. */
export const presetIn = <T extends Choice>(preset: T, language: string): T => choiceIn(preset, presets, language);

// Why an image is as it is comes in English, without a code. The sentences of the server, by what is fixed in them.
const reasons: [RegExp, string][] = [
  [
    /^The pull of (\S+) took longer than (\S+) and was given up\..*$/s,
    '拉取 $1 超过 $2，已放弃。镜像仓库可能很慢或已停止服务，请稍后重试。',
  ],
  [/^(\S+) has neither (\S+) nor (\S+)\..*$/s, '$1 上既没有 $2，也没有 $3。请检查名称和标签。'],
  [/^(\S+) has no (\S+)\..*$/s, '$1 上没有 $2。请检查名称和标签。'],
  [
    /^(\S+) has (\S+), but not for this machine's processor \((.*?)\)\..*$/s,
    '$1 上有 $2，但没有适用于本机处理器的版本（$3）。请换一个标签或镜像。',
  ],
  [/^(\S+) does not hand out (\S+): it is private.*$/s, '$1 不提供 $2：它是私有的，或者不存在。请检查名称，或向管理员申请权限。'],
  [
    /^The machine's disk is full, so (\S+) could not be pulled\..*$/s,
    '机器磁盘已满，无法拉取 $1。请删除不需要的镜像，或请管理员腾出空间，然后重试。',
  ],
  [
    /^(\S+) could not be reached, or failed while (\S+) was pulled \((.*?)\)\..*$/s,
    '无法连接 $1，或在拉取 $2 时出错（$3）。请稍后重试，或请管理员配置镜像加速。',
  ],
  [/^Something else in the engine is busy with (\S+)\..*$/s, '引擎正忙于处理 $1，请重新拉取。'],
  [/^The engine would not pull (\S+) \((.*)\)\..*$/s, '引擎无法拉取 $1（$2）。请联系管理员。'],
  [/^The build took longer than (\S+) and was ended\..*$/s, '构建超过 $1，已终止。请在日志中查看没有结束的步骤。'],
  [/^Step (\d+) of (\d+) failed: /, '第 $1 步失败（共 $2 步）：'],
  [/ It was killed: a build has (\S+ ?\S*) of memory\./, '它因内存不足被终止：一次构建可用内存为 $1。'],
  [
    /^The server or the engine ended (\d+) times while this was being built.*$/s,
    '构建期间服务器或引擎中断了 $1 次，不再重试。请联系管理员，或减少一次构建的内容。',
  ],
  [
    /^The container has written (\S+ ?\S*) outside of its volumes, and (\S+ ?\S*) of your disk are left\..*$/s,
    '容器在数据卷以外写入了 $1，而你的磁盘配额只剩 $2。请先删除一些内容，再重新保存。',
  ],
];

/** Why an image is in its state, in the language of the page; in the server's own words where these are not known. */
export function reasonIn(message: string, language: string): string {
  if (!chinese(language)) return message;
  return reasons.reduce((told, [pattern, text]) => told.replace(pattern, text), message);
}
